"""Reliability curves: how often a model is right where it says how sure it is, before and after temperature scaling."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from raykd.report.findings import Model
from raykd.report.plots import COLOURS, INK, Plot, style, svg
from raykd.report.sheet import Sheet
from raykd.report.wording import NBSP, percent, short

Bins = Sequence[Mapping[str, float]]
"""Bins of confidence that have rows: how many, their mean confidence and their accuracy."""

_LEAST = 0.01  # of the rows, in a bin that a line goes through
_BEFORE: dict[str, Any] = {"color": COLOURS[1], "marker": "o", "linestyle": "-", "markersize": 5}
_AFTER: dict[str, Any] = {"color": COLOURS[0], "marker": "s", "linestyle": (0, (5, 2)), "markersize": 5}
_TEACHERS: dict[str, Any] = {"color": COLOURS[3], "marker": "x", "linestyle": (0, (1, 1.5)), "markersize": 5}


def reliability_plot(reliability: Mapping[str, Mapping[str, Bins | None]], student: Model, ece_bins: int) -> Plot:
    """The student's curves above the share of its rows in each bin; the teacher ensemble's curve for comparison.

    Args: reliability: by model, `before` and `after` scaling; student: one of the models.
    """
    curves = [("before scaling", reliability[student["name"]]["before"], _BEFORE)]
    if reliability[student["name"]]["after"] is not None:
        temperature = student["temperature"]
        curves.append(
            (f"after scaling, temperature{NBSP}{temperature:.3g}", reliability[student["name"]]["after"], _AFTER)
        )
    if "teacher_ensemble" in reliability:
        curves.append(("teacher ensemble", reliability["teacher_ensemble"]["before"], _TEACHERS))
    finding = reliability_finding(student)
    with style():
        figure = Figure(figsize=(6.0, 5.2), dpi=72, layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        upper.axline((0, 0), slope=1, color=INK, alpha=0.55, linewidth=1)
        for number, (_, bins, look) in enumerate(curves):
            assert bins is not None
            _curve(upper, bins, look)
            _histogram(lower, bins, ece_bins, number, len(curves), look["color"])
        points = [(one["confidence"], one["accuracy"]) for _, bins, _ in curves for one in bins or ()]
        left = math.floor(min(confidence for confidence, _ in points) * ece_bins) / ece_bins
        bottom = min(left, *(accuracy for _, accuracy in points))
        upper.set(xlim=(left - 0.01, 1.01), ylim=(bottom - 0.03, 1.03), ylabel="share of right predictions")
        lower.set(xlabel="confidence: the probability of the class predicted", ylabel="share of rows")
        for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=f"{NBSP}%"))
        handles = [Line2D([], [], **look, label=f"{short(student['name'])} {label}" if look is not _TEACHERS else label)
                   for label, _, look in curves]  # fmt: skip
        handles.append(Line2D([], [], color=INK, alpha=0.55, linewidth=1, label="perfectly calibrated"))
        figure.legend(handles=handles, loc="outside lower center", ncol=2, handlelength=3.2)
        return Plot(svg(figure, "calibration", f"Reliability of {student['name']}. {finding}"), finding)


def _curve(axes: Any, bins: Bins, look: dict[str, Any]) -> None:
    """Points as large as their bins: those of few rows say little, and the line leaves them out."""
    total = sum(one["rows"] for one in bins)
    joined = [one for one in bins if one["rows"] >= _LEAST * total]
    axes.plot(*_places(joined), **{**look, "marker": None}, linewidth=1.2)
    sizes = [12 + 130 * one["rows"] / total for one in bins]
    axes.scatter(*_places(bins), sizes, color=look["color"], marker=look["marker"], zorder=3)


def _places(bins: Bins) -> tuple[list[float], list[float]]:
    return [one["confidence"] for one in bins], [one["accuracy"] for one in bins]


def _histogram(axes: Any, bins: Bins, ece_bins: int, number: int, curves: int, colour: str) -> None:
    """Bars of a curve's bins, beside those of the others."""
    total = sum(one["rows"] for one in bins)
    width = 0.8 / ece_bins / curves
    lefts = [(min(int(one["confidence"] * ece_bins), ece_bins - 1) + 0.1) / ece_bins + number * width for one in bins]
    axes.bar(lefts, [one["rows"] / total for one in bins], width, align="edge", color=colour)


def reliability_finding(student: Model) -> str:
    """What temperature scaling changed, on the test rows and on those it was fitted on."""
    name, ece = student["name"], student["ece"]
    if student.get("temperature") is None:
        return (
            f"The expected calibration error of {name} is {percent(ece)}. No row of the validation split has a label, "
            "so no temperature was fitted."
        )
    temperature = student["temperature"]
    side = "less sure" if temperature > 1 else "surer"
    return (
        f"A temperature of {temperature:.3f}, fitted on the validation split, makes {name} {side}: its expected "
        f"calibration error on the test split goes from {percent(ece)} to {percent(student['ece_tempered'])}, its NLL "
        f"from {student['nll']:.4f} to {student['nll_tempered']:.4f} nats; on the validation split from "
        f"{percent(student['validation_ece'])} to {percent(student['validation_ece_tempered'])} and from "
        f"{student['validation_nll']:.4f} to {student['validation_nll_tempered']:.4f}. No predicted class changes."
    )


def reliability_sheet(reliability: Mapping[str, Mapping[str, Bins | None]]) -> Sheet:
    """The bins of every model."""
    rows = [
        (name, when, one["rows"], one["confidence"], one["accuracy"])
        for name, curves in reliability.items()
        for when, bins in curves.items()
        for one in bins or ()
    ]
    return Sheet("calibration", ("model", "scaling", "rows", "confidence", "accuracy"), rows)
