"""Whether a model's gain over the plain student could be chance. Readers: the evaluation. Axes: B rows, R resamples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from raykd.evaluate.bootstrap import Bootstrap, interval

Right = NDArray[np.bool_]

_FIGURES = ("gain", "gain_ci95", "gain_p", "gain_p_holm")


def gains(right: Mapping[str, Right], plain: str | None, bootstrap: Bootstrap) -> dict[str, dict[str, Any]]:
    """What each model gains over the plain student, on the same rows.

    Args: right: by model, which rows it predicts right; plain: the name of the plain student's line; None: there is
    none.
    Returns: by model `gain`: accuracy above the plain student's, `gain_ci95`: its paired bootstrap interval, `gain_p`:
    the p-value of no gain (McNemar's exact test; where whole groups are resampled, the bootstrap's) and `gain_p_holm`:
    as it counts among all models' p-values. All are None for the plain student itself, and without one.
    """
    found: dict[str, dict[str, Any]] = {name: dict.fromkeys(_FIGURES) for name in right}
    others = [name for name in right if name != plain] if plain is not None else []
    for name in others:
        found[name] |= _gain(right[name], right[str(plain)], bootstrap)
    adjusted = holm([found[name]["gain_p"] for name in others])
    for name, p_value in zip(others, adjusted, strict=True):
        found[name]["gain_p_holm"] = p_value
    return found


def _gain(right_B: Right, plain_B: Right, bootstrap: Bootstrap) -> dict[str, Any]:
    differences_R = bootstrap.mean_difference(right_B, plain_B)
    p_value = mcnemar(right_B, plain_B) if bootstrap.unit == "rows" else crossing(differences_R)
    gained = float(right_B.mean() - plain_B.mean())
    return {"gain": gained, "gain_ci95": interval(differences_R), "gain_p": p_value}


def mcnemar(right_B: Right, other_B: Right) -> float:
    """Two-sided p-value of the exact test that neither model is right more often where only one of them is.

    Source: McNemar 1947; exact, as the binomial test of the rows on which they differ.
    """
    wins, losses = int((right_B & ~other_B).sum()), int((other_B & ~right_B).sum())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def crossing(differences_R: NDArray[np.float64]) -> float:
    """Two-sided p-value of no difference: twice the share of resamples on the other side of 0, never quite 0."""
    smaller = min(int((differences_R <= 0).sum()), int((differences_R >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(differences_R) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values as they count among several: below a level, and the chance of any false alarm is below it too.

    Source: Holm 1979, the step-down procedure.
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return [float(value) for value in adjusted]
