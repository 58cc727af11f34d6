"""What a run shows: one live picture in a terminal, calm lines elsewhere, a table at the end."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import rich.console
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table

from raykd.config import Config
from raykd.distill.trials import OBJECTIVE, Record, ranked

if TYPE_CHECKING:
    from raykd.preview import Planned

Event = dict[str, Any]

_LOG_SECONDS = 10.0  # between epochs of a training in a log
_LOG_WIDTH = 160  # A log has no edge to wrap at.


class Console:
    """Shows events of one run.

    Args: steps: of the whole job; missing: steps that are still to do.
    """

    def __init__(self, config: Config, run: str, steps: int, missing: int) -> None:
        self._console = rich.console.Console()
        if not self._console.is_terminal:
            self._console.width = _LOG_WIDTH
        self._running: dict[str, Event] = {}
        self._begun: dict[str, float] = {}
        self._run = config.name
        self.steps, self.finished = steps, steps - missing
        self._logged: dict[str, float] = {}
        self._live = Live(console=self._console, get_renderable=self._picture, refresh_per_second=4, transient=True)
        done = f", {self.finished} of {steps} steps done already" if self.finished else ""
        self._console.print(f"[bold]{config.name}[/]: {run}{done}", highlight=False, soft_wrap=True)

    def __enter__(self) -> "Console":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take in one event of a step: started, progress, finished or restarted."""
        step = event["step"]
        if event["kind"] == "started":
            self._begun[step] = time.monotonic()
            self._running[step] = event
            self._log(event, "started")
        elif event["kind"] == "progress":
            self._running[step] = event
        elif event["kind"] == "finished":
            self._running.pop(step, None)
            self.finished += 1
            self._line(event, _facts(event))
        elif event["kind"] == "trial":
            self._running.pop(step, None)
            self._line(event, _trial(event))
        elif event["kind"] == "restarted":
            died = "its node was lost" if event.get("lost") else "its lane died"
            self._line(event, f"{died}; going on from the last checkpoint in a new lane")
        elif event["kind"] == "waiting":
            amounts = " and ".join(f"{event[name]:g} {name}" for name in ("CPU", "GPU") if name in event)
            self._line(event, f"none is up yet after {event['seconds']:.0f} s: each asks for {amounts} on one node")
        elif event["kind"] == "epoch":
            self._log_now_and_then(event)

    def _line(self, event: Event, text: str) -> None:
        """Print what happened to a step."""
        if self._console.is_terminal:
            step = event["step"]
            self._console.print(
                f"[dim]{self.finished:>3}/{self.steps}[/] {step}: {text}", highlight=False, soft_wrap=True
            )
        else:
            self._log(event, text)

    def _log(self, event: Event, text: str) -> None:
        """A line of a log, which stands for itself among those of other runs; none in a terminal."""
        if self._console.is_terminal:
            return
        place = f"{self._run} lane {event['lane']}" if "lane" in event else f"{self._run} driver"
        stage = event.get("folder") or event["step"]
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        line = f"{now} {place} {stage} {self.finished}/{self.steps}: {text}"
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _log_now_and_then(self, event: Event) -> None:
        """Of a training's epochs, no more than one in some seconds."""
        stage, now = event["folder"], time.monotonic()
        if now - self._logged.get(stage, -_LOG_SECONDS) < _LOG_SECONDS:
            return
        self._logged[stage] = now
        figures = [f"loss {event['train_loss']:.4f}", f"validation loss {event['validation_loss']:.4f}"]
        figures += [f"{event['examples_per_second']:,.0f} examples/s", f"{event['stall_fraction']:.1%} stalled"]
        self._log(event, f"epoch {event['epoch'] + 1}/{event['epochs']}, {', '.join(figures)}")

    def _picture(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("lane", "step", "epoch", "loss", "examples/s", "stalled", "done", "left"):
            table.add_column(name, justify="left" if name == "step" else "right")
        for step, event in sorted(self._running.items()):
            share = event.get("share")
            spent = time.monotonic() - self._begun.get(step, time.monotonic())
            left = f"{spent / share - spent:.0f} s" if share else ""
            epoch = f"{event['epoch'] + 1}/{event['epochs']}" if "epoch" in event else ""
            table.add_row(
                str(event.get("lane", "")),
                event.get("folder", step),
                epoch,
                _number(event.get("loss"), ".4f"),
                _number(event.get("examples_per_second"), ",.0f"),
                _number(event.get("stall_fraction"), ".1%"),
                _number(share, ".0%"),
                left,
            )
        return table

    def trials(self, records: Sequence[Record], best: dict[str, Any]) -> None:
        """Print the sweep's trials, best first, and what the sweep cost."""
        table = Table(title="trials, on the validation split", title_justify="left", box=None, header_style="dim")
        for name in ("trial", "", *best["settings"], "accuracy", "loss", "epochs", "steps", "seconds"):
            table.add_column(name, justify="right")
        for record in ranked(records):
            table.add_row(
                str(record.number),
                record.status,
                *(_setting(record.settings[name]) for name in best["settings"]),
                _number(record.validation_accuracy, ".2%"),
                _number(record.validation_loss, ".4f"),
                str(record.epochs),
                f"{record.steps:,}",
                f"{record.seconds:.1f}",
            )
        self._console.print(table)
        text = "trial 0 has the configuration's own settings"
        if best["trained"]:
            used = best["trial_seconds"] / (best["together"] * best["seconds"])
            text += (
                f"; {best['trained']} trials here, {best['together']} side by side: {best['steps']:,} steps in "
                f"{best['seconds']:.0f} s ({best['steps'] / best['seconds']:,.0f} a second), {used:.0%} of that time "
                "within trials"
            )
        self._console.print(text, style="dim", highlight=False, soft_wrap=True)

    def results(self, evaluation: dict[str, Any], report: str | None) -> None:
        """Print the table of all models and where the report is, if there is one."""
        table = Table(title=f"test split, {evaluation['device']}", title_justify="left", box=None, header_style="dim")
        table.add_column("model")
        for name in (
            "accuracy",
            "95 % interval",
            "AUC",
            "agreement",
            "parameters",
            "examples/s",
            "retention",
            "speed-up",
        ):
            table.add_column(name, justify="right")
        for model in evaluation["models"]:
            low, high = model["accuracy_ci95"]
            table.add_row(
                model["name"],
                f"{model['accuracy']:.2%}",
                f"{low:.1%} - {high:.1%}",
                _number(model["auc"], ".3f"),
                _number(model["agreement"], ".1%"),
                _number(model["parameters"], ",d"),
                _number(model["examples_per_second"], ",.0f"),
                _number(model["retention"], ".3f"),
                _number(model["speedup_ensemble"], ".1f"),
            )
        self._console.print(table)
        self._console.print(
            f"retention: accuracy over the best teacher's ({evaluation['best_teacher']}); "
            f"speed-up: over the teacher ensemble{_unknown(evaluation['models'])}",
            style="dim",
        )
        minutes, seconds = divmod(round(evaluation["wall_seconds"]), 60)
        self._console.print(
            f"{minutes} min {seconds} s, {evaluation['training_share']:.0%} of it training or scoring"
            + ("" if report is None else f"; report: {report}"),
            highlight=False,
            soft_wrap=True,
        )

    def below(self, shown: RenderableType) -> None:
        """Print something more."""
        self._console.print(shown, highlight=False, soft_wrap=True)


def _unknown(models: Sequence[dict[str, Any]]) -> str:
    known = all(model[key] is not None for model in models for key in ("retention", "speedup_ensemble"))
    return "" if known else "; empty: unknown of an external teacher"


def _mean_and_deviation(figure: tuple[float, float] | None) -> str:
    return "" if figure is None else f"{figure[0]:.4f} ± {figure[1]:.4f}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _setting(value: Any) -> str:
    """A trial's setting; a model by its figures."""
    if isinstance(value, dict):
        return " ".join(f"{name} {_setting(part)}" for name, part in value.items() if name != "type")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _trial(event: Event) -> str:
    """A trial that ended, and the best one so far."""
    settings = ", ".join(f"{name} {_setting(value)}" for name, value in event["settings"].items())
    outcome = event["reason"] if event["status"] == "failed" else f"validation accuracy {event[OBJECTIVE]:.2%}"
    text = f"{settings}: {outcome} ({event['status']}, {event['seconds']:.0f} s)"
    best = event["best"]
    if best is None:
        return text
    if best["number"] == event["number"]:
        return f"{text}, the best so far"
    return f"{text}; best so far: {best['number']} with {best[OBJECTIVE]:.2%}"


def _facts(event: Event) -> str:
    parts = [f"{event['seconds']:.0f} s"]
    if event.get("trials") is not None:
        parts.append(f"{event['trials']} trials, {event['steps']:,} steps")
    if event.get("rows") is not None:
        parts.append(f"{event['rows']:,} rows")
    if event.get("truncated"):
        cut = ", ".join(f"{rows:,} of {split}" for split, rows in event["truncated"].items())
        parts.append(f"cut to {event['max_length']} tokens: {cut}")
    if event.get("kept") is not None:
        parts.append(f"{event['kept']:,} of {event['unlabelled']:,} unlabelled rows kept")
    if event.get("validation_accuracy") is not None:
        parts.append(f"validation accuracy {event['validation_accuracy']:.2%}")
    for export in event.get("exports", []):
        parts.append(
            f"{export['format']} differs by {export['largest_difference']:.1e}, accuracy "
            f"{100 * export['accuracy_change']:+.2f} points"
        )
    if event.get("examples_per_second") is not None:
        parts.append(f"{event['examples_per_second']:,.0f} examples/s")
    if event.get("stall_fraction") is not None:
        parts.append(f"{event['stall_fraction']:.1%} stalled")
    return ", ".join(parts)


def show_exports(exports: Sequence[dict[str, Any]], folder: str) -> None:
    """Print how each exported format compares with its source, and where the bundle is."""
    table = Table(box=None, header_style="dim", title="compared on validation rows", title_justify="left")
    table.add_column("format")
    for name in ("size", "rows", "largest difference", "accuracy", "change", "tolerance", "one row", "examples/s"):
        table.add_column(name, justify="right")
    for export in exports:
        tolerance = export["tolerance"]
        table.add_row(
            export["format"],
            f"{export['bytes'] / 1000:,.0f} kB",
            f"{export['rows']:,}",
            f"{export['largest_difference']:.1e}",
            _number(export["accuracy"], ".2%"),
            f"{100 * export['accuracy_change']:+.2f} points",
            f"{tolerance['probability']:g}"
            if "probability" in tolerance
            else f"{100 * tolerance['accuracy']:g} points",
            f"{export['latency_ms_p50']:.2f} ms",
            f"{export['examples_per_second']:,.0f}",
        )
    console = rich.console.Console()
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    console.print(table)
    console.print(f"model card, loader and files: {folder}", highlight=False, soft_wrap=True)


def show_plan(steps: Sequence["Planned"]) -> None:
    """Print what a run would do."""
    table = Table(box=None, header_style="dim")
    for name in ("step", "state", "row passes", "parameters", "TFLOP"):
        table.add_column(name, justify="left" if name in ("step", "state") else "right")
    for step in steps:
        rows = "known after ingestion" if step.rows is None else f"{step.rows:,}"
        tera = None if step.flops is None else step.flops / 1e12
        trials = "" if step.trials is None else f", {step.trials} trials"
        table.add_row(
            f"{step.step}{trials}",
            "done" if step.done else "to do",
            rows,
            _number(step.parameters, ",d"),
            _number(tera, ".3f"),
        )
    console = rich.console.Console()
    console.print(table)
    left = sum(step.flops or 0.0 for step in steps if not step.done) / 1e12
    if steps[0].rows is not None:
        console.print(f"at most {left:.2f} TFLOP left to do; training that stops early does less", style="dim")


def show_seeds(figures: dict[str, dict[str, tuple[float, float] | None]]) -> None:
    """Print mean and standard deviation over seeds; nothing for a figure that is not known."""
    table = Table(box=None, header_style="dim", title="mean ± standard deviation over seeds", title_justify="left")
    table.add_column("model")
    for name in next(iter(figures.values())):
        table.add_column(name, justify="right")
    for model, values in figures.items():
        table.add_row(model, *map(_mean_and_deviation, values.values()))
    console = rich.console.Console()
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    console.print(table)
