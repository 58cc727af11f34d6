"""Ensembles: several models' predictions as one, the weights of its members, and its calibrated probabilities.

Readers: students that learn from averaged teachers, the evaluation, and whatever predicts.

Axes: M members, B batch, C classes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from raykd.config import Space, Weighting

Floats = NDArray[np.float64]

_SMALLEST = 1e-6  # probability of a true class while fitting: below it the slopes are too steep to follow
_DIGITS = 6  # of fitted weights
_TOLERANCE = 1e-4  # nats per row, between the NLL of fitted weights and the least there is


def average(
    probabilities_MBC: Sequence[Floats], weights: Sequence[float] | None = None, space: Space = "probabilities"
) -> Floats:
    """Weighted mean of the members' predictions, [B, C].

    Probabilities by default, not logits: one overconfident member would dominate averaged logits (Yang et al. 2020
    average probabilities too). The softmax of averaged logits is the geometric mean of probabilities, made to sum
    to 1: logits are log-probabilities up to a constant per row.
    Args: weights: one per member, summing to 1; None: equal ones.
    """
    stacked_MBC = np.stack(probabilities_MBC)
    if space == "logits":
        mean: Floats = softmax(np.average(_logits(stacked_MBC), axis=0, weights=weights), axis=1)
    else:
        mean = np.average(stacked_MBC, axis=0, weights=weights)
    return mean


def tempered(probabilities_BC: Floats, temperature: float) -> Floats:
    """p^(1/T), made to sum to 1, [B, C]: above 1 less sure, below 1 surer, in the same order within each row.

    Source: Guo et al. 2017, section 4.2, temperature scaling, for a prediction that needn't be a softmax of logits.
    """
    if temperature == 1.0:
        return probabilities_BC
    raised = (probabilities_BC / probabilities_BC.max(axis=1, keepdims=True)) ** (1.0 / temperature)
    scaled: Floats = raised / raised.sum(axis=1, keepdims=True)
    return scaled


def member_weights(
    weighting: Weighting, probabilities_MBC: Sequence[Floats], labels_B: NDArray[np.int32], space: Space
) -> tuple[float, ...]:
    """Convex weights of the members, from their predictions on labelled rows; they sum to 1.

    `uniform`: equal; `accuracy`: in proportion to the share of rows that each predicts right (equal where none
    predicts any); `fitted`: those whose average, in this space, has the least NLL on the rows. There, a probability
    that is averaged counts as at least 1e-6.
    Args: labels: known ones only, at least one.
    Raises: RuntimeError when fitting doesn't converge.
    """
    stacked_MBC = np.stack(probabilities_MBC)
    members = len(stacked_MBC)
    weights_M = np.full(members, 1.0 / members)
    if weighting == "accuracy":
        right_M = (stacked_MBC.argmax(axis=2) == labels_B).mean(axis=1)
        weights_M = right_M / right_M.sum() if right_M.any() else weights_M
    elif weighting == "fitted":
        weights_M = _fitted(stacked_MBC, labels_B, space)
    return tuple(weights_M.tolist())


def _fitted(probabilities_MBC: Floats, labels_B: NDArray[np.int32], space: Space) -> Floats:
    """The NLL is convex in the weights in either space, so what is found from equal weights is the least."""
    from scipy.optimize import minimize  # Slow to load: not for every process that imports this module.

    rows_B = np.arange(len(labels_B))
    if space == "logits":
        logits_MBC = _logits(probabilities_MBC)
        right_MB = logits_MBC[:, rows_B, labels_B]

        def nll(weights_M: Floats) -> tuple[float, Floats]:
            mean_BC = np.tensordot(weights_M, logits_MBC, axes=1)
            expected_MB = np.einsum("bc,mbc->mb", softmax(mean_BC, axis=1), logits_MBC)
            surprise_B = logsumexp(mean_BC, axis=1) - mean_BC[rows_B, labels_B]
            return float(surprise_B.mean()), (expected_MB - right_MB).mean(axis=1)
    else:
        right_MB = np.maximum(probabilities_MBC[:, rows_B, labels_B], _SMALLEST)

        def nll(weights_M: Floats) -> tuple[float, Floats]:
            mixed_B = weights_M @ right_MB
            return -float(np.log(mixed_B).mean()), -(right_MB / mixed_B).mean(axis=1)

    members = len(probabilities_MBC)
    found = minimize(
        nll,
        np.full(members, 1.0 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights_M: Floats = np.maximum(found.x, 0.0)
    weights_M /= weights_M.sum()
    _, slope_M = nll(weights_M)
    # A convex function lies above its tangent: no weights are better by more than the tangent falls to a corner.
    excess = float(weights_M @ slope_M - slope_M.min())
    if not excess <= _TOLERANCE:
        raise RuntimeError(f"weights {weights_M.tolist()} may be {excess:.1g} nats from the best: {found.message}")
    # The last digits depend on the number of threads; students must not.
    weights_M = np.round(weights_M, _DIGITS)
    weights_M /= weights_M.sum()
    return weights_M


def _logits(probabilities: Floats) -> Floats:
    logits: Floats = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return logits
