from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import log_loss

from raykd.ensemble import tempered
from raykd.evaluate.calibration import CALIBRATION, calibration, fit_temperature, reliability
from raykd.evaluate.quality import expected_calibration_error


def _overconfident(temperature: float, rows: int = 4000, classes: int = 3) -> tuple[Any, Any]:
    """Probabilities of which only those at the temperature are true."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(rows, classes)) * 2
    true = softmax(logits, axis=1)
    labels = (rng.random((rows, 1)) > true.cumsum(axis=1)).sum(axis=1).astype(np.int32)
    return softmax(logits * temperature, axis=1), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_probabilities_is_found(temperature: float) -> None:
    probabilities, labels = _overconfident(temperature)
    found = fit_temperature(probabilities, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    # As another optimiser of SciPy finds it, over scikit-learn's loss.
    other = minimize(lambda t: log_loss(labels, tempered(probabilities, t[0])), [1.0], method="Nelder-Mead")
    assert found == pytest.approx(other.x[0], rel=1e-3)
    assert fit_temperature(tempered(probabilities, found), labels) == pytest.approx(1.0, abs=1e-4)


def test_a_model_that_is_always_right_ends_at_the_lowest_temperature() -> None:
    assert fit_temperature(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1], np.int32)) == pytest.approx(
        0.05, rel=1e-3
    )


def test_scaling_mends_nll_and_ece_and_leaves_every_prediction() -> None:
    probabilities, labels = _overconfident(3.0)
    half = 2000
    found = calibration((probabilities[:half], labels[:half]), probabilities[half:], labels[half:])
    assert set(found) == set(CALIBRATION)
    assert found["validation_nll_tempered"] < found["validation_nll"]
    assert found["validation_ece_tempered"] < found["validation_ece"]
    after = tempered(probabilities[half:], found["temperature"])
    assert_allclose(found["nll_tempered"], log_loss(labels[half:], after))
    assert_allclose(found["ece_tempered"], expected_calibration_error(after, labels[half:]))
    assert found["ece_tempered"] < 0.5 * expected_calibration_error(probabilities[half:], labels[half:])
    assert (after.argmax(axis=1) == probabilities[half:].argmax(axis=1)).all()


def test_without_labelled_validation_rows_nothing_is_fitted() -> None:
    assert set(calibration(None, np.array([[0.5, 0.5]]), np.array([0], np.int32)).values()) == {None}


def test_reliability_by_hand() -> None:
    # Confidences 0.74 and 0.7 fall into bins 11 and 10 of 15, 1.0 into the last.
    probabilities = np.array([[0.74, 0.26], [0.3, 0.7], [1.0, 0.0], [0.26, 0.74]])
    found = reliability(probabilities, np.array([0, 1, 1, 0], np.int32))
    assert [bin_["rows"] for bin_ in found] == [1, 2, 1]
    assert_allclose([bin_["confidence"] for bin_ in found], [0.7, 0.74, 1.0])
    assert [bin_["accuracy"] for bin_ in found] == [1.0, 0.5, 0.0]


def test_reliability_adds_up_to_the_calibration_error() -> None:
    probabilities, labels = _overconfident(2.0)
    bins = reliability(probabilities, labels)
    gap = sum(bin_["rows"] * abs(bin_["accuracy"] - bin_["confidence"]) for bin_ in bins) / len(labels)
    assert gap == pytest.approx(expected_calibration_error(probabilities, labels))
