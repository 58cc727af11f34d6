"""Where the time of a run went: each step's training, its waiting for data, and all else it did."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from raykd.report.plots import COLOURS, INK, Plot, style, svg
from raykd.report.sheet import Sheet
from raykd.report.wording import duration, percent

Stage = dict[str, Any]


def parts(stage: Stage) -> tuple[float, float, float]:
    """Seconds of computing while training, of waiting for data, and of the rest; a step that trains nothing is rest."""
    seconds, trained = stage["seconds"] or 0.0, stage.get("training_seconds") or 0.0
    waited = trained * (stage["stall_fraction"] or 0.0)
    return trained - waited, waited, max(0.0, seconds - trained)


def timing_plot(stages: Sequence[Stage]) -> Plot | None:
    """Bars by step, in their order; None where no step says how long it trained."""
    if not any(stage.get("training_seconds") for stage in stages):
        return None
    finding = timing_finding(stages)
    stages = _with_predictions_as_one(stages)
    names = [stage["name"] for stage in stages]
    with style():
        figure = Figure(figsize=(6.6, 1.1 + 0.24 * len(stages)), dpi=72, layout="constrained")
        axes = figure.subplots()
        left = [0.0] * len(stages)
        looks: tuple[tuple[str, dict[str, Any]], ...] = (
            ("training", {"color": COLOURS[0]}),
            ("waiting for data", {"facecolor": "none", "edgecolor": COLOURS[1], "hatch": "/////", "linewidth": 0.8}),
            ("all else: start, compiling, reading, scoring, measuring", {"color": INK, "alpha": 0.22}),
        )
        for number, (label, look) in enumerate(looks):
            widths = [parts(stage)[number] for stage in stages]
            axes.barh(names, widths, left=left, height=0.7, label=label, **look)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("seconds")
        figure.legend(loc="outside lower center", ncol=3)
        return Plot(svg(figure, "timing", f"Seconds of each step. {finding}"), finding)


def _with_predictions_as_one(stages: Sequence[Stage]) -> list[Stage]:
    """Steps with a bar of their own; each model's predictions take a moment."""
    predicted = [stage for stage in stages if stage["name"].startswith("predictions/")]
    if not predicted:
        return list(stages)
    seconds = sum(stage["seconds"] or 0.0 for stage in predicted)
    together = {**predicted[0], "name": f"predictions of {len(predicted)} models", "seconds": seconds}
    first = stages.index(predicted[0])
    return [*(stage for stage in stages[:first]), together, *(s for s in stages[first:] if s not in predicted)]


def timing_finding(stages: Sequence[Stage]) -> str:
    """The longest step, and the training that waited most for data."""
    longest = max(stages, key=lambda stage: stage["seconds"] or 0.0)
    said = [f"Longest step: {longest['name']}, {duration(longest['seconds'] or 0.0)}."]
    trained = [stage for stage in stages if stage.get("training_seconds")]
    if trained:
        most = max(trained, key=lambda stage: float(stage["stall_fraction"]))
        total = [sum(values) for values in zip(*map(parts, trained), strict=True)]
        share, own = percent(total[1] / (total[0] + total[1]), 1), percent(most["stall_fraction"], 1)
        said.append(f"Waiting for data took {share} of all training time, most in {most['name']} ({own} of its own).")
    return " ".join(said)


def timing_sheet(stages: Sequence[Stage]) -> Sheet:
    """Every step's figures."""
    keys = ("name", "seconds", "training_seconds", "stall_fraction", "examples_per_second")
    return Sheet("stages", keys, [tuple(stage.get(key) for key in keys) for stage in stages])
