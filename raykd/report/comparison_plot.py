"""Accuracy against speed of several runs: a run's colour and number, a kind's shape."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from raykd.report.findings import Model, highlighted
from raykd.report.plots import COLOURS, INK, KINDS, Plot, speed_ticks, style, svg
from raykd.report.wording import NBSP, percent


def comparison_plot(runs: Mapping[str, Sequence[Model]]) -> Plot | None:
    """All models that were timed; the final student of each run is filled and numbered. None if none was timed.

    Args: runs: models by the run's label.
    """
    timed = {label: [model for model in models if model.get("examples_per_second")] for label, models in runs.items()}
    if not any(timed.values()):
        return None
    finding = _finding(timed)
    with style():
        figure = Figure(figsize=(6.6, 4.7 + 0.2 * (len(runs) // 4)), dpi=72, layout="constrained")
        axes = figure.subplots()
        for number, models in enumerate(timed.values(), start=1):
            _points(axes, number, models)
        axes.set(xscale="log", xlabel="examples per second (log scale)", ylabel="accuracy on the test split")
        axes.margins(x=0.08, y=0.08)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=f"{NBSP}%"))
        speed_ticks(axes)
        dots = [_handle(f"{number} {label}", "o", _colour(number)) for number, label in enumerate(timed, start=1)]
        present = {model["kind"] for models in timed.values() for model in models}
        shapes = [_handle(kind.title, kind.marker, INK) for name, kind in KINDS.items() if name in present]
        figure.legend(handles=[*dots, *shapes], loc="outside lower center", ncol=4)
        return Plot(svg(figure, "comparison", f"Accuracy against examples per second, by run. {finding}"), finding)


def _points(axes: Any, number: int, models: Sequence[Model]) -> None:
    final = highlighted(models)
    for model in models:
        place = model["examples_per_second"], model["accuracy"]
        look: dict[str, Any] = {"markersize": 9} if model is final else {"markersize": 6.5, "markerfacecolor": "none"}
        axes.plot(*place, KINDS[model["kind"]].marker, color=_colour(number), **look)
        if model is final:
            axes.annotate(str(number), place, (6, 5), textcoords="offset points", fontweight="bold")


def _colour(number: int) -> str:
    return COLOURS[(number - 1) % len(COLOURS)]


def _handle(label: str, marker: str, colour: str) -> Line2D:
    face = "none" if colour == INK else colour
    return Line2D([], [], linestyle="none", marker=marker, color=colour, markerfacecolor=face, label=label)


def _finding(timed: Mapping[str, Sequence[Model]]) -> str:
    """Each run's final student as a point."""
    told = [
        f"{label}: {student['name']}, {percent(student['accuracy'])}, {student['examples_per_second']:,.0f} examples/s"
        for label, models in timed.items()
        if (student := highlighted(models)) is not None
    ]
    return f"Filled, with the run’s number: its final student. {'; '.join(told)}."
