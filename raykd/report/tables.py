"""The report's tables: which figures they show, how a figure is written, what it means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from raykd.report.sheet import FOLDER, Sheet
from raykd.report.wording import ABSENT, interval, percent, points

_ALPHA = 0.05  # below which a difference counts as significant


@dataclass(frozen=True)
class Column:
    """One column of a table: where its value stands, how it is written, what it means.

    Args: ends: writes the value's 95 % interval, which stands under `<key>_ci95`; None: it has none; printed: on paper
    too, which has no room for all.
    """

    title: str
    key: str
    write: Callable[[Any], str]
    meaning: str = ""
    ends: Callable[[Any], str] | None = None
    printed: bool = True

    def cell(self, row: dict[str, Any]) -> str:
        """The row's value as text; a dash where there is none."""
        value = row.get(self.key)
        return ABSENT if value is None else self.write(value)

    def small(self, row: dict[str, Any]) -> str:
        """The interval of the row's value as text, or nothing."""
        found = row.get(f"{self.key}_ci95")
        return "" if self.ends is None or found is None else self.ends(found)

    def value(self, row: dict[str, Any]) -> str:
        """What rows are sorted by: a plain number, or nothing where there is none."""
        value = row.get(self.key)
        return "" if value is None else repr(float(value))


def fixed(digits: int) -> Callable[[float], str]:
    """Writes a number with so many digits after the point."""
    return lambda value: f"{value:,.{digits}f}"


def percentage(digits: int) -> Callable[[float], str]:
    """Writes a share."""
    return lambda value: percent(value, digits)


def _ends(write: Callable[[float], str]) -> Callable[[Sequence[float]], str]:
    return lambda found: f"{write(found[0])} to {write(found[1])}"


def _significance(p_value: float) -> str:
    mark = " *" if p_value < _ALPHA else ""
    return ("< 0.001" if p_value < 0.001 else f"{p_value:.3f}") + mark


RESULTS = (
    Column("accuracy", "accuracy", percentage(2), "share of the test rows predicted rightly", interval),
    Column(
        "over plain,\npoints", "gain", points, "accuracy above the plain student’s, on the same rows", _ends(points)
    ),
    Column(
        "p",
        "gain_p_holm",
        _significance,
        "chance of a difference from the plain student as large as this if there were none: McNemar’s exact test (the "
        "bootstrap’s where whole groups are resampled), after Holm’s correction for the number of models; * below 0.05",
    ),
    Column(
        "AUC",
        "auc",
        fixed(4),
        "area under the ROC curve; several classes: each against the rest, mean",
        _ends(fixed(3)),
    ),
    Column(
        "average\nprecision",
        "average_precision",
        fixed(4),
        "area under the precision-recall curve; several classes: each against the rest, mean",
        _ends(fixed(3)),
        printed=False,
    ),
    Column("MAP", "map", fixed(4), "mean average precision of the rows of a group, ranked", _ends(fixed(3))),
    Column("MRR", "mrr", fixed(4), "mean reciprocal rank of a group’s first right row", _ends(fixed(3))),
    Column("macro\nF1", "f1_macro", fixed(4), "F1 of each class, mean", _ends(fixed(3))),
    Column("NLL", "nll", fixed(4), "negative log-likelihood, nats; lower is better", _ends(fixed(3))),
    Column("Brier", "brier", fixed(4), "summed over classes, 0 to 2; lower is better", _ends(fixed(3)), printed=False),
    Column("ECE", "ece", fixed(4), "expected calibration error, in equal bins of confidence; lower is better"),
    Column(
        "ECE,\nscaled", "ece_tempered", fixed(4), "the same after temperature scaling, fitted on the validation split"
    ),
    Column("agreement", "agreement", percentage(1), "rows predicted as by the teacher ensemble", interval),
    Column("parameters", "parameters", fixed(0), "trained numbers; an ensemble’s are those of all its members"),
    Column("examples/s", "examples_per_second", fixed(0), "at the same batch for every model"),
    Column(
        "examples/s,\nbest batch",
        "best_batch_examples_per_second",
        fixed(0),
        "at the fastest of the batch sizes tried",
        printed=False,
    ),
    Column("best\nbatch", "best_batch", fixed(0), "that batch size", printed=False),
    Column("p50\nms", "latency_ms_p50", fixed(2), "median latency of one example"),
    Column("p95\nms", "latency_ms_p95", fixed(2), "95th percentile of the latency of one example", printed=False),
    Column("retention", "retention", fixed(3), "accuracy over the best teacher’s"),
    Column(
        "retention,\nensemble", "retention_ensemble", fixed(3), "accuracy over the teacher ensemble’s", printed=False
    ),
    Column("speed-up", "speedup", fixed(2), "examples per second over the best teacher’s", printed=False),
    Column("speed-up,\nensemble", "speedup_ensemble", fixed(2), "examples per second over the teacher ensemble’s"),
)

STAGES = (
    Column("seconds", "seconds", fixed(1), "from the step’s beginning to its end"),
    Column("training", "training_seconds", fixed(1), "seconds of its epochs"),
    Column("stalled", "stall_fraction", percentage(1), "share of the training time spent waiting for data"),
    Column("examples/s", "examples_per_second", fixed(0), "while training"),
)


def results_columns(models: Sequence[dict[str, Any]]) -> list[Column]:
    """The columns in which some model has a value."""
    return [column for column in RESULTS if any(model.get(column.key) is not None for model in models)]


def table_sheet(name: str, rows: Sequence[dict[str, Any]], folder: str = FOLDER) -> Sheet:
    """Every figure of every row; an interval is two columns, and the weights of ensembles are left out."""
    keys = list(dict.fromkeys(key for row in rows for key in row if key != "weights"))
    titles: list[str] = []
    for key in keys:
        titles += [f"{key}_low", f"{key}_high"] if key.endswith("_ci95") else [key]
    lines = []
    for row in rows:
        line: list[Any] = []
        for key in keys:
            value = row.get(key)
            line += (value or [None, None]) if key.endswith("_ci95") else [value]
        lines.append(tuple(line))
    return Sheet(name, tuple(titles), lines, folder)
