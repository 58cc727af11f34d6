"""Calibration: whether a probability is the share of right answers, and one number that mends it afterwards.

Axes: B rows, C classes.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from raykd.ensemble import tempered
from raykd.evaluate.quality import ECE_BINS, Floats, Labels, bins_of, expected_calibration_error, row_losses

_LOWEST, _HIGHEST = 0.05, 20.0  # temperatures; a model that is always right would have 0
_DIGITS = 6

CALIBRATION = (
    "temperature",
    "nll_tempered",
    "ece_tempered",
    "validation_nll",
    "validation_nll_tempered",
    "validation_ece",
    "validation_ece_tempered",
)


def fit_temperature(probabilities_BC: Floats, labels_B: Labels) -> float:
    """The temperature from 0.05 to 20 with the least NLL of these rows; at least one, all with a label.

    The NLL is convex in 1 / temperature, so it falls to its least value and rises after it.
    Raises: RuntimeError when the search doesn't converge.
    Source: Guo et al. 2017, section 4.2, temperature scaling.
    """
    logs_BC = _logs(probabilities_BC)
    right_B = logs_BC[np.arange(len(labels_B)), labels_B]

    def nll(log_temperature: float) -> float:
        sharpness = math.exp(-log_temperature)
        return float((logsumexp(sharpness * logs_BC, axis=1) - sharpness * right_B).mean())

    bounds = (math.log(_LOWEST), math.log(_HIGHEST))
    found = minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    if not found.success:
        raise RuntimeError(f"temperature {math.exp(found.x):.6g} may not be the best: {found.message}")
    return round(math.exp(found.x), _DIGITS)


def calibration(validation: tuple[Floats, Labels] | None, probabilities_BC: Floats, labels_B: Labels) -> dict[str, Any]:
    """Temperature scaling fitted on validation rows: what it changes there and on the test rows.

    Args: validation: predicted probabilities and labels of rows with a label, at least one; None: there are none.
    probabilities, labels: of the test rows.
    Returns: `temperature`, `nll_tempered` and `ece_tempered` of the test rows, `validation_nll`, `validation_ece` and
    the two after scaling; all None without validation rows.
    """
    if validation is None:
        return dict.fromkeys(CALIBRATION)
    temperature = fit_temperature(*validation)
    nll, ece = _nll_and_ece(*validation)
    nll_after, ece_after = _nll_and_ece(tempered(validation[0], temperature), validation[1])
    test_nll, test_ece = _nll_and_ece(tempered(probabilities_BC, temperature), labels_B)
    return dict(zip(CALIBRATION, (temperature, test_nll, test_ece, nll, nll_after, ece, ece_after), strict=True))


def _nll_and_ece(probabilities_BC: Floats, labels_B: Labels) -> tuple[float, float]:
    nll_B, _ = row_losses(probabilities_BC, labels_B)
    return float(nll_B.mean()), expected_calibration_error(probabilities_BC, labels_B)


def reliability(probabilities_BC: Floats, labels_B: Labels) -> list[dict[str, float]]:
    """The reliability curve: for each bin of confidence that has rows, how many, their confidence and accuracy.

    The bins are those of the expected calibration error.
    """
    confidence_B = probabilities_BC.max(axis=1)
    right_B = probabilities_BC.argmax(axis=1) == labels_B
    bins_B = bins_of(confidence_B)
    rows, confidence, accuracy = (
        np.bincount(bins_B, weights=weights, minlength=ECE_BINS) for weights in (None, confidence_B, right_B)
    )
    return [
        {"rows": int(rows[i]), "confidence": float(confidence[i] / rows[i]), "accuracy": float(accuracy[i] / rows[i])}
        for i in np.flatnonzero(rows)
    ]


def _logs(probabilities_BC: Floats) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(np.maximum(probabilities_BC, np.finfo(np.float64).tiny))
    return logs
