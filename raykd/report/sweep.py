"""The sweep in the report: temperature and alpha of its trials, and what the choice was worth."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from raykd.distill.trials import Record, best
from raykd.report.heat import heat_map
from raykd.report.plots import INK, Plot, style, svg
from raykd.report.sheet import Sheet
from raykd.report.wording import NBSP, percent

Cells = dict[float, dict[float, float | None]]
"""Validation accuracy by temperature and alpha, None where no trial was."""

_MARKS = {"finished": "o", "stopped": "v"}


def trials_finding(records: Sequence[Record]) -> str:
    """Best trial, the configuration's own, and the points between them.

    Args: records: one at least that did not fail.
    """
    winner, own = best(records), next(record for record in records if record.number == 0)
    assert winner is not None
    counts = [f"{sum(record.status == status for record in records)} {status}" for status in ("finished", "stopped")]
    failed = sum(record.status == "failed" for record in records)
    counts += [f"{failed} failed"] if failed else []
    said = f"Of {len(records)} trials ({', '.join(counts)}), trial {winner.number} is the best: {_named(winner)}."
    if winner is own:
        return f"{said} These are the configuration's own settings."
    if own.validation_accuracy is None:
        return f"{said} The trial with the configuration's own settings failed."
    points = 100 * ((winner.validation_accuracy or 0.0) - own.validation_accuracy)
    return f"{said} The configuration's own settings: {_named(own)}. The choice is worth {points:.2f} points."


def _named(record: Record) -> str:
    temperature, alpha = record.settings["temperature"], record.settings["alpha"]
    return (
        f"T{NBSP}{temperature:.3g}, alpha {alpha:.3g}, validation accuracy {percent(record.validation_accuracy or 0)}"
    )


def trials_plot(records: Sequence[Record]) -> Plot | None:
    """Each trial at its temperature and alpha, coloured by validation accuracy; None where none trained.

    Trials on a grid are the cells of a heat map, any others are points.
    """
    shown = [record for record in records if record.status in _MARKS]
    winner = best(records)
    if winner is None:
        return None
    finding = trials_finding(records)
    with style():
        cells = grid(shown)
        figure = _points(shown, winner) if cells is None else _cells(cells, winner)
        return Plot(svg(figure, "sweep", f"Trials by temperature and alpha. {finding}"), finding)


def grid(records: Sequence[Record]) -> Cells | None:
    """The best trial's accuracy in each cell, where most pairs of the values tried have a trial; else None."""
    found: dict[tuple[float, float], float] = {}
    for record in records:
        place = float(record.settings["temperature"]), float(record.settings["alpha"])
        found[place] = max(found.get(place, 0.0), record.validation_accuracy or 0.0)
    temperatures, alphas = sorted({t for t, _ in found}), sorted({a for _, a in found})
    full = len(found) > 0.5 * len(temperatures) * len(alphas) and min(len(temperatures), len(alphas)) > 1
    return {t: {a: found.get((t, a)) for a in alphas} for t in temperatures} if full else None


def _cells(cells: Cells, winner: Record) -> Figure:
    """A heat map, the best trial's cell framed."""
    temperatures, alphas = list(cells), list(next(iter(cells.values())))
    known = [value for line in cells.values() for value in line.values() if value is not None]
    low, spread = min(known), max(known) - min(known) or 1.0
    values = [[cells[temperature][alpha] for temperature in temperatures] for alpha in alphas[::-1]]
    shades = [[0.0 if value is None else (value - low) / spread for value in line] for line in values]
    texts = [["" if value is None else percent(value) for value in line] for line in values]
    rows, columns = [f"{alpha:.3g}" for alpha in alphas[::-1]], [f"{temperature:.3g}" for temperature in temperatures]
    size = (1.2 + 0.85 * len(columns), 1.0 + 0.45 * len(rows))
    figure = Figure(figsize=size, dpi=72, layout="constrained")
    axes = figure.subplots()
    heat_map(axes, shades, texts, rows, columns)
    x = temperatures.index(float(winner.settings["temperature"]))
    y = alphas[::-1].index(float(winner.settings["alpha"]))
    axes.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, fill=False, edgecolor=INK, linewidth=1.6))
    axes.set(xlabel="temperature", ylabel="alpha", title="validation accuracy; framed: the best trial")
    return figure


def _points(shown: Sequence[Record], winner: Record) -> Figure:
    figure = Figure(figsize=(6.6, 4.2), dpi=72, layout="constrained")
    axes = figure.subplots()
    accuracies = [record.validation_accuracy or 0.0 for record in shown]
    scale: dict[str, Any] = {"vmin": min(accuracies), "vmax": max(accuracies), "cmap": "viridis"}
    for status, marker in _MARKS.items():
        group = [record for record in shown if record.status == status]
        points = axes.scatter(
            [record.settings["temperature"] for record in group],
            [record.settings["alpha"] for record in group],
            c=[record.validation_accuracy for record in group],
            **scale,
            marker=marker,
            s=60,
            edgecolors=INK,
            linewidths=0.6,
            zorder=3,
        )
    _ring(axes, winner, 220, "-")
    if shown[0].number == 0:
        _ring(axes, shown[0], 380, (0, (2, 2)))
    axes.set(xscale="log", xlabel="temperature (log scale)", ylabel="alpha")
    axes.margins(x=0.12, y=0.14)
    axes.xaxis.set_major_locator(MaxNLocator(8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    bar = figure.colorbar(points, ax=axes, label="validation accuracy")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=f"{NBSP}%"))
    figure.legend(handles=_handles(shown), loc="outside lower center", ncol=4)
    return figure


def trials_sheet(records: Sequence[Record]) -> Sheet:
    """Every trial with its settings."""
    names = list(dict.fromkeys(name for record in records for name in record.settings))
    rows = [
        (
            r.number,
            r.status,
            *(r.settings.get(name) for name in names),
            r.validation_accuracy,
            r.validation_loss,
            r.epochs,
        )
        for r in records
    ]
    return Sheet("sweep", ("trial", "status", *names, "validation_accuracy", "validation_loss", "epochs"), rows)


def _ring(axes: Any, record: Record, size: float, line: Any) -> None:
    place = record.settings["temperature"], record.settings["alpha"]
    axes.scatter(*place, s=size, facecolors="none", edgecolors=INK, linewidths=1.3, linestyle=line, zorder=2)


def _handles(shown: Sequence[Record]) -> list[Line2D]:
    def handle(label: str, marker: str, size: float, line: float) -> Line2D:
        return Line2D(
            [],
            [],
            linestyle="none",
            marker=marker,
            markersize=size,
            color=INK,
            markerfacecolor="none",
            markeredgewidth=line,
            label=label,
        )

    present = [status for status in _MARKS if any(record.status == status for record in shown)]
    marks = [handle(status, _MARKS[status], 7, 0.6) for status in present]
    return [*marks, handle("best (ring)", "o", 11, 1.3), handle("own settings (dashed ring)", "o", 14, 0.6)]
