"""The report page: one HTML file that needs no network, for whoever reads the run's outcome."""

import platform
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.distill.trials import read_records
from raykd.report.curves import ACCURACY, LOSS, student_curves, teacher_curves
from raykd.report.findings import summary
from raykd.report.plots import KINDS, Plot, curves_plot, frontier_plot
from raykd.report.sweep import trials_plot
from raykd.report.wording import duration, interval, percent

_PACKAGES = ("raykd", "ray", "tensorflow", "keras", "numpy")
_ABSENT = "–"


@dataclass(frozen=True)
class Column:
    """One column of a table: where its value stands, how it is written, what it means."""

    title: str
    key: str
    write: Callable[[Any], str]
    meaning: str = ""

    def cell(self, row: dict[str, Any]) -> str:
        """The row's value as text; a dash where there is none."""
        value = row.get(self.key)
        return _ABSENT if value is None else self.write(value)


def _fixed(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


def _percent(digits: int) -> Callable[[float], str]:
    return lambda value: percent(value, digits)


_RESULTS = (
    Column("accuracy", "accuracy", _percent(2)),
    Column("95 %\ninterval", "accuracy_ci95", interval, "bootstrap over the test rows"),
    Column("AUC", "auc", _fixed(4), "area under the ROC curve; several classes: each against the rest, mean"),
    Column("macro\nF1", "f1_macro", _fixed(4)),
    Column("NLL", "nll", _fixed(4), "negative log-likelihood, nats; lower is better"),
    Column("Brier", "brier", _fixed(4), "summed over classes, 0 to 2; lower is better"),
    Column("ECE", "ece", _fixed(4), "expected calibration error; lower is better"),
    Column("agreement", "agreement", _percent(1), "rows predicted as by the teacher ensemble"),
    Column("parameters", "parameters", _fixed(0)),
    Column("examples/s", "examples_per_second", _fixed(0), "at the same batch for every model"),
    Column("p50\nms", "latency_ms_p50", _fixed(2), "median latency of one example"),
    Column("p95\nms", "latency_ms_p95", _fixed(2), "95th percentile of the latency of one example"),
    Column("retention", "retention", _fixed(3), "accuracy over the best teacher's"),
    Column("retention,\nensemble", "retention_ensemble", _fixed(3), "accuracy over the teacher ensemble's"),
    Column("speed-up", "speedup", _fixed(2), "examples per second over the best teacher's"),
    Column(
        "speed-up,\nensemble",
        "speedup_ensemble",
        _fixed(2),
        "examples per second over the teacher ensemble's",
    ),
)

_STAGES = (
    Column("seconds", "seconds", _fixed(1)),
    Column("stalled", "stall_fraction", _percent(1), "share of the training time spent waiting for data"),
    Column("examples/s", "examples_per_second", _fixed(0), "while training"),
)


def write_report(config: Config, run: RunDirectory, evaluation: dict[str, Any]) -> None:
    """Publish `report.html`.

    Args: evaluation: as `evaluation.json` has it; the learning curves come from the run directory.
    """
    plots = [
        (f"{title}: {measure.title}", curves_plot(title, curves, measure))
        for title, curves in (
            ("Teachers", teacher_curves(config, run)),
            ("Students", student_curves(config, run)),
        )
        for measure in (ACCURACY, LOSS)
        if curves
    ]
    page = _page(config, run, evaluation, plots)
    run.write_bytes("report.html", page.encode())


def _page(config: Config, run: RunDirectory, evaluation: dict[str, Any], curves: list[tuple[str, Plot]]) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = resources.files("raykd.report").joinpath("template.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        name=config.name,
        summary=summary(evaluation),
        evaluation=evaluation,
        kinds=KINDS,
        results=_RESULTS,
        stages=_STAGES,
        longest=max((stage["seconds"] or 0.0 for stage in evaluation["stages"]), default=0.0) or 1.0,
        wall=duration(evaluation["wall_seconds"]),
        training_share=percent(evaluation["training_share"], 0),
        frontier=frontier_plot(evaluation["models"]),
        curves=curves,
        external=config.external,
        sweep=trials_plot(read_records(run)) if config.sweep.enabled else None,
        configuration=yaml.safe_dump(config.model_dump(), sort_keys=False),
        versions=_versions(),
        date=_date(run),
        root=run.root,
        command=_command(run),
    )


def _versions() -> list[tuple[str, str]]:
    """Name and version of what made the page; a package that isn't installed is left out."""
    found = [("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return found


def _date(run: RunDirectory) -> str:
    """When the evaluation was written (UTC), so that a repeated report has the same date."""
    written: datetime | None = run.filesystem.get_file_info(run.path("evaluation.json")).mtime
    return (written or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _command(run: RunDirectory) -> str:
    # The command reads local files only: from elsewhere, the configuration has to be fetched first.
    path = "config.yaml" if "://" in run.root else run.path("config.yaml")
    return f"raykd run {shlex.quote(path)}"
