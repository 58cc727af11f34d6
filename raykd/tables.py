"""What a command has found, as tables with a line or two below, and how they are printed."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import rich.console
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from raykd.distill.trials import Record, ranked

if TYPE_CHECKING:
    from raykd.preview import Planned

_LOG_WIDTH = 160  # A log has no edge to wrap at.

Shown = Sequence[RenderableType]


def output() -> rich.console.Console:
    """Standard output: as wide as its terminal, or as a log likes it."""
    console = rich.console.Console()
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    return console


def print_below(console: rich.console.Console, shown: Shown) -> None:
    """Print one below the other; lines of text stay lines, whatever the width."""
    for one in shown:
        console.print(one, highlight=False, soft_wrap=not isinstance(one, Table))


def show(shown: Shown) -> None:
    """Print on standard output."""
    print_below(output(), shown)


def trials(records: Sequence[Record], best: dict[str, Any]) -> Shown:
    """The sweep's trials, best first, and what the sweep cost."""
    names = ("", *best["settings"], "accuracy", "loss", "epochs", "steps", "seconds")
    table = _table("trial", names, title="trials, on the validation split", numbered=True)
    for record in ranked(records):
        table.add_row(
            str(record.number),
            record.status,
            *(setting(record.settings[name]) for name in best["settings"]),
            number(record.validation_accuracy, ".2%"),
            number(record.validation_loss, ".4f"),
            str(record.epochs),
            f"{record.steps:,}",
            f"{record.seconds:.1f}",
        )
    text = "trial 0 has the configuration's own settings"
    if best["trained"]:
        used = best["trial_seconds"] / (best["together"] * best["seconds"])
        text += (
            f"; {best['trained']} trials here, {best['together']} side by side: {best['steps']:,} steps in "
            f"{best['seconds']:.0f} s ({best['steps'] / best['seconds']:,.0f} a second), {used:.0%} of that time "
            "within trials"
        )
    return [table, Text(text, style="dim")]


def results(evaluation: dict[str, Any], report: str | None) -> Shown:
    """All models on the test split, and where the report is, if there is one."""
    names = ("accuracy", "95 % interval", "AUC", "agreement", "parameters", "examples/s", "retention", "speed-up")
    table = _table("model", names, title=f"test split, {evaluation['device']}")
    for model in evaluation["models"]:
        low, high = model["accuracy_ci95"]
        table.add_row(
            model["name"],
            f"{model['accuracy']:.2%}",
            f"{low:.1%} - {high:.1%}",
            number(model["auc"], ".3f"),
            number(model["agreement"], ".1%"),
            number(model["parameters"], ",d"),
            number(model["examples_per_second"], ",.0f"),
            number(model["retention"], ".3f"),
            number(model["speedup_ensemble"], ".1f"),
        )
    meaning = (
        f"retention: accuracy over the best teacher's ({evaluation['best_teacher']}); "
        f"speed-up: over the teacher ensemble{_unknown(evaluation['models'])}"
    )
    minutes, seconds = divmod(round(evaluation["wall_seconds"]), 60)
    times = f"{minutes} min {seconds} s, {evaluation['training_share']:.0%} of it training or scoring"
    return [table, Text(meaning, style="dim"), Text(times + ("" if report is None else f"; report: {report}"))]


def exports(compared: Sequence[dict[str, Any]], folder: str) -> Shown:
    """How each exported format compares with its source, and where the bundle is."""
    names = ("size", "rows", "largest difference", "accuracy", "change", "tolerance", "one row", "examples/s")
    table = _table("format", names, title="compared on validation rows")
    for export in compared:
        tolerance = export["tolerance"]
        table.add_row(
            export["format"],
            f"{export['bytes'] / 1000:,.0f} kB",
            f"{export['rows']:,}",
            f"{export['largest_difference']:.1e}",
            number(export["accuracy"], ".2%"),
            f"{100 * export['accuracy_change']:+.2f} points",
            f"{tolerance['probability']:g}"
            if "probability" in tolerance
            else f"{100 * tolerance['accuracy']:g} points",
            f"{export['latency_ms_p50']:.2f} ms",
            f"{export['examples_per_second']:,.0f}",
        )
    return [table, Text(f"model card, loader and files: {folder}")]


def steps(planned: Sequence["Planned"], name: str) -> Shown:
    """What a run of this name would do."""
    table = _table("step", ("state", "row passes", "parameters", "TFLOP"), title=name)
    table.columns[1].justify = "left"
    for step in planned:
        rows = "known after ingestion" if step.rows is None else f"{step.rows:,}"
        tera = None if step.flops is None else step.flops / 1e12
        table.add_row(
            step.step if step.trials is None else f"{step.step}, {step.trials} trials",
            "done" if step.done else "to do",
            rows,
            number(step.parameters, ",d"),
            number(tera, ".3f"),
        )
    if planned[0].rows is None:
        return [table]
    left = sum(step.flops or 0.0 for step in planned if not step.done) / 1e12
    return [table, Text(f"at most {left:.2f} TFLOP left to do; training that stops early does less", style="dim")]


def seeds(figures: dict[str, dict[str, tuple[float, float] | None]]) -> Shown:
    """Mean and standard deviation over seeds; nothing for a figure that is not known."""
    table = _table("model", next(iter(figures.values())), title="mean ± standard deviation over seeds")
    for model, values in figures.items():
        table.add_row(model, *map(_mean_and_deviation, values.values()))
    return [table]


def number(value: float | None, form: str) -> str:
    """A figure; nothing for one that is not known."""
    return "" if value is None else format(value, form)


def setting(value: Any) -> str:
    """A trial's setting; a model by its figures."""
    if isinstance(value, dict):
        return " ".join(f"{name} {setting(part)}" for name, part in value.items() if name != "type")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(first: str, names: Iterable[str], title: str | None = None, *, numbered: bool = False) -> Table:
    """Args: first: the column that names a row; numbered: it is a number."""
    table = Table(box=None, header_style="dim", title=title, title_justify="left")
    table.add_column(first, justify="right" if numbered else "left")
    for name in names:
        table.add_column(name, justify="right")
    return table


def _unknown(models: Sequence[dict[str, Any]]) -> str:
    known = all(model[key] is not None for model in models for key in ("retention", "speedup_ensemble"))
    return "" if known else "; empty: unknown of an external teacher"


def _mean_and_deviation(figure: tuple[float, float] | None) -> str:
    return "" if figure is None else f"{figure[0]:.4f} ± {figure[1]:.4f}"
