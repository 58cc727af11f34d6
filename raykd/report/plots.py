"""The report's plots: inline SVG that follows the page's text colour and is the same for the same numbers."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from raykd.report.curves import ACCURACY, Curve, Measure
from raykd.report.findings import Model, curves_finding, frontier, frontier_finding
from raykd.report.labels import Box, place
from raykd.report.sheet import Sheet
from raykd.report.wording import NBSP, short

# Every colour has a contrast of 3 or more on the light page and on the dark one.
COLOURS = ("#3b82c4", "#c8691c", "#2f9468", "#a368c4", "#d4515f", "#1f93a6", "#9a7350", "#808890")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
INK = "#010203"  # Stands for the page's text colour, which the SVG takes over as `currentColor`.
_FONT = 9.0  # points; one figure unit is one point
_PIXELS = 1.6  # of the page for one unit, where there is room
_LETTER = 0.62 * _FONT  # mean width of a letter in a wide font, DejaVu Sans


@dataclass(frozen=True)
class Kind:
    """How the models of one kind are drawn: by shape as well as by colour."""

    title: str
    marker: str
    glyph: str
    colour: str


KINDS = {
    "teacher": Kind("teacher", "o", "●", COLOURS[0]),
    "teacher_ensemble": Kind("teacher ensemble", "s", "■", COLOURS[3]),
    "student": Kind("student", "^", "▲", COLOURS[1]),
    "student_ensemble": Kind("student ensemble", "D", "◆", COLOURS[2]),
}


@dataclass(frozen=True)
class Plot:
    """An SVG element and, in words, what it shows."""

    svg: Markup
    finding: str


def frontier_plot(models: Sequence[Model]) -> Plot | None:
    """Accuracy with its interval against speed, of the models that were timed; None if none was."""
    timed = [model for model in models if model.get("examples_per_second")]
    if not timed:
        return None
    finding = frontier_finding(timed)
    with style():
        figure = Figure(figsize=(6.6, 4.6), dpi=72)
        axes = figure.add_axes((0.13, 0.2, 0.85, 0.77))
        _points(axes, timed)
        axes.set(xscale="log", xlabel="examples per second (log scale)", ylabel="accuracy on the test split")
        axes.margins(x=0.12, y=0.08)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=f"{NBSP}%"))
        speed_ticks(axes)
        _names(axes, timed)
        present = [kind for name, kind in KINDS.items() if any(model["kind"] == name for model in timed)]
        figure.legend(handles=[*map(_handle, present), _frontier_handle()], loc="lower center", ncol=len(present) + 1)
        return Plot(svg(figure, "frontier", f"Accuracy against examples per second. {finding}"), finding)


def frontier_sheet(models: Sequence[Model]) -> Sheet:
    """The points of the plot, and which of them nothing beats."""
    timed = [model for model in models if model.get("examples_per_second")]
    kept = frontier([(model["examples_per_second"], model["accuracy"]) for model in timed])
    rows = [
        (
            model["name"],
            model["kind"],
            model["examples_per_second"],
            model["accuracy"],
            *model["accuracy_ci95"],
            i in kept,
        )
        for i, model in enumerate(timed)
    ]
    columns = ("model", "kind", "examples_per_second", "accuracy", "accuracy_low", "accuracy_high", "on_frontier")
    return Sheet("frontier", columns, rows)


def curves_plot(title: str, curves: Sequence[Curve], measure: Measure) -> Plot:
    """One line per training over its epochs; a diamond is the first epoch of a later stage."""
    finding = curves_finding(curves, measure)
    with style():
        rows = (len(curves) + 1) // 2
        figure = Figure(figsize=(5.2, 3.1 + 0.2 * rows), dpi=72, layout="constrained")
        axes = figure.subplots()
        for index, curve in enumerate(curves):
            _line(axes, index, curve, measure)
        axes.set(xlabel="epoch", ylabel=measure.title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if measure is ACCURACY:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=f"{NBSP}%"))
        elif _spread(curves, measure) > 10:
            _log_loss(axes)
        figure.legend(loc="outside lower center", ncol=2, handlelength=3.2)
        return Plot(svg(figure, f"{title}-{measure.key}", f"{title}: {measure.title} by epoch. {finding}"), finding)


def _points(axes: Any, models: Sequence[Model]) -> None:
    for model in models:
        kind, (low, high) = KINDS[model["kind"]], model["accuracy_ci95"]
        x, y = model["examples_per_second"], model["accuracy"]
        axes.plot([x, x], [low, high], color=kind.colour, alpha=0.35, linewidth=1)
        axes.plot(x, y, kind.marker, color=kind.colour, markersize=7, zorder=3)
    points = [(model["examples_per_second"], model["accuracy"]) for model in models]
    kept = [points[index] for index in frontier(points)]
    # Steps, not slopes: between two models there is none to choose.
    axes.plot(*_columns(kept), drawstyle="steps-pre", **_FRONTIER)


_FRONTIER: dict[str, Any] = {"color": INK, "alpha": 0.55, "linewidth": 1.2, "linestyle": (0, (4, 2))}


def _names(axes: Any, models: Sequence[Model]) -> None:
    values = [(model["examples_per_second"], model["accuracy"]) for model in models]
    points = [tuple(axes.transData.transform(value)) for value in values]
    texts = [short(model["name"]) for model in models]
    area = axes.get_window_extent()
    room = Box(area.x0 + 2, area.y0 + 2, area.x1 - 2, area.y1 - 2)
    boxes = place(points, [(_LETTER * len(text), 1.2 * _FONT) for text in texts], room, marker=5.0)
    back = axes.transData.inverted()
    for (x, y), box, text, model in zip(points, boxes, texts, models, strict=True):
        anchor = (min(max(x, box.left), box.right), min(max(y, box.bottom), box.top))
        if abs(anchor[0] - x) + abs(anchor[1] - y) > 12:
            ends = zip(back.transform((x, y)), back.transform(anchor), strict=True)
            axes.plot(*ends, color=KINDS[model["kind"]].colour, linewidth=0.7, zorder=2)
        middle = ((box.left + box.right) / 2, (box.bottom + box.top) / 2)
        axes.text(*back.transform(middle), text, ha="center", va="center")


def speed_ticks(axes: Any) -> None:
    """Plain numbers on a logarithmic axis of examples per second."""
    low, high = axes.get_xlim()
    steps = (1.0, 2.0, 5.0) if high / low < 200 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda speed, _: f"{speed:,.0f}" if speed >= 1 else f"{speed:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(low, high)


def _handle(kind: Kind) -> Line2D:
    return Line2D([], [], color=kind.colour, marker=kind.marker, linestyle="none", markersize=7, label=kind.title)


def _frontier_handle() -> Line2D:
    return Line2D([], [], label="frontier", **_FRONTIER)


def _line(axes: Any, index: int, curve: Curve, measure: Measure) -> None:
    points = curve.points(measure)
    colour = COLOURS[index % len(COLOURS)]
    dash = _DASHES[(index + index // len(COLOURS)) % len(_DASHES)]
    marker = "o" if len(points) == 1 else None  # A line of one epoch would not show.
    [line] = axes.plot(*_columns(points), color=colour, linestyle=dash, marker=marker)
    line.set_label(curve.label)
    starts = [point for point in points if point[0] in curve.stage_starts()]
    axes.plot(*_columns(starts), "D", color=colour, markersize=5)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _spread(curves: Sequence[Curve], measure: Measure) -> float:
    """Largest over smallest value; 1 where a logarithm would not do."""
    values = [value for curve in curves for _, value in curve.points(measure)]
    return max(values) / min(values) if values and min(values) > 0 else 1.0


def _log_loss(axes: Any) -> None:
    axes.set(yscale="log", ylabel=f"{axes.get_ylabel()} (log scale)")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults, whatever the user's matplotlibrc says, in the page's ink."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        inked = (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "grid.color",
            "xtick.color",
            "ytick.color",
        )
        matplotlib.rcParams.update(dict.fromkeys(inked, INK))
        matplotlib.rcParams.update(
            {
                "font.size": _FONT,
                "text.parse_math": False,  # A name may hold a dollar sign.
                "axes.grid": True,
                "grid.alpha": 0.15,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "legend.frameon": False,
                "svg.fonttype": "none",
            }
        )
        yield


def svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an element for an HTML page: scalable, described, without addresses or dates."""
    matplotlib.rcParams["svg.hashsalt"] = f"raykd-{name}"  # One per plot: ids must not meet on one page.
    written = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=metadata)
    text = written.getvalue()
    [(view, body)] = re.findall(r'<svg[^>]*viewBox="([^"]+)"[^>]*>(.*)</svg>', text, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace(INK, "currentColor")
    natural = round(_PIXELS * float(view.split()[2]))
    opening = Markup('<svg role="img" aria-label="{}" viewBox="{}" style="--natural: {}px">')
    opening = opening.format(description, view, natural)
    return opening + Markup(body) + Markup("</svg>")
