"""Heat maps: cells in one colour, the stronger the larger their value, on the page's own ground and with its ink."""

from collections.abc import Sequence
from typing import Any

from matplotlib.patches import Rectangle

from raykd.report.plots import COLOURS

_WEAKEST, _STRONGEST = 0.04, 0.58  # opacity; text stays readable on it, on the light page and on the dark one


def heat_map(
    axes: Any,
    shades: Sequence[Sequence[float]],
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
) -> None:
    """Draw cells from the top left.

    Args: shades: 0 to 1 by row and column; texts: written in the cells, in the same order; rows, columns: their names.
    """
    for y, (line, words) in enumerate(zip(shades, texts, strict=True)):
        for x, (shade, text) in enumerate(zip(line, words, strict=True)):
            opacity = _WEAKEST + (_STRONGEST - _WEAKEST) * shade
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=COLOURS[0], alpha=opacity, linewidth=0))
            axes.text(x, y, text, ha="center", va="center")
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
