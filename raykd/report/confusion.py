"""Which classes a model takes for which: a confusion matrix, or the most frequent confusions of many classes."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from raykd.report.heat import heat_map
from raykd.report.plots import COLOURS, Plot, style, svg
from raykd.report.sheet import Sheet
from raykd.report.wording import percent, short

Cells = Sequence[Sequence[int]]
"""[true class, predicted class, rows] where there are rows; of many classes wrong predictions alone."""

_MATRIX = 16  # classes that a matrix still shows readably
_BARS = 15


def confusion_plot(name: str, cells: Cells, rows_by_class: Sequence[int], classes: Sequence[str]) -> Plot:
    """Rows are true classes, shaded by their share of the class; of more than 16 classes bars of the top confusions.

    Args: classes: their names.
    """
    finding = confusion_finding(cells, rows_by_class, classes)
    drawn = _matrix if len(rows_by_class) <= _MATRIX else _bars
    with style():
        figure = drawn(cells, rows_by_class, classes)
        return Plot(svg(figure, f"confusion-{name}", f"Confusions of {name}. {finding}"), finding)


def _matrix(cells: Cells, rows_by_class: Sequence[int], names: Sequence[str]) -> Figure:
    classes = len(rows_by_class)
    shares = [[0.0] * classes for _ in range(classes)]
    texts = [[""] * classes for _ in range(classes)]
    for true, predicted, rows in cells:
        shares[true][predicted] = rows / rows_by_class[true]
        texts[true][predicted] = f"{rows:,}" if classes > 4 else f"{rows:,}\n{percent(rows / rows_by_class[true], 1)}"
    side = 1.0 + max(0.36, 0.9 - 0.1 * classes) * classes
    figure = Figure(figsize=(side + 0.3, side), dpi=72, layout="constrained")
    axes = figure.subplots()
    heat_map(axes, shares, texts, names, names)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def _bars(cells: Cells, rows_by_class: Sequence[int], names: Sequence[str]) -> Figure:
    shown = _wrong(cells)[:_BARS]
    figure = Figure(figsize=(5.6, 1.0 + 0.24 * len(shown)), dpi=72, layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(shown)), [rows for *_, rows in shown], color=COLOURS[0], height=0.7)
    axes.bar_label(bars, [percent(rows / rows_by_class[true], 1) for true, _, rows in shown], padding=4)
    axes.set_yticks(range(len(shown)), [f"{names[true]} taken for {names[predicted]}" for true, predicted, _ in shown])
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("test rows; beside the bars: share of the true class")
    return figure


def _wrong(cells: Cells) -> list[Sequence[int]]:
    """Wrong predictions, the most frequent first."""
    return sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])


def confusion_finding(cells: Cells, rows_by_class: Sequence[int], classes: Sequence[str]) -> str:
    """The most frequent confusions."""
    wrong = _wrong(cells)
    if not wrong:
        return "No test row is predicted wrongly."
    named = [_named(cell, rows_by_class, classes) for cell in wrong[:3]]
    return f"Most frequent confusions: {', '.join(named)}."


def _named(cell: Sequence[int], rows_by_class: Sequence[int], names: Sequence[str]) -> str:
    true, predicted, rows = cell
    counted = "1 row" if rows == 1 else f"{rows:,} rows"
    return (
        f"{names[true]} taken for {names[predicted]} ({counted}, {percent(rows / rows_by_class[true], 1)} of class "
        f"{names[true]})"
    )


def confusion_sheet(confusion: Mapping[str, Cells], rows_by_class: Sequence[int]) -> Sheet:
    """The cells of these models."""
    rows = [
        (name, true, predicted, count, count / rows_by_class[true])
        for name, cells in confusion.items()
        for true, predicted, count in cells
    ]
    return Sheet("confusion", ("model", "true_class", "predicted_class", "rows", "share_of_class"), rows)


def confusion_title(name: str) -> str:
    """Of one model's plot."""
    return short(name).replace("_", " ")
