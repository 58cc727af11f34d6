import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from raykd.evaluate.quality import accuracy_interval, expected_calibration_error, quality

# Right, wrong, wrong, right.
PROBABILITIES_BC = np.array([[0.1, 0.9], [0.6, 0.4], [0.4, 0.6], [0.8, 0.2]])
LABELS_B = np.array([1, 1, 0, 0], np.int32)
REFERENCE_BC = np.array([[0.0, 1.0], [0.3, 0.7], [0.3, 0.7], [1.0, 0.0]])  # predicts 1, 1, 1, 0


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("accuracy", 2 / 4),
        ("auc", 3 / 4),  # Of the pairs (positive, negative) only 0.4 against 0.6 is in the wrong order.
        # Positives at 0.9 and 0.4 stand first and third of 0.9, 0.6, 0.4, 0.2.
        ("average_precision", (1 / 1 + 2 / 3) / 2),
        ("f1_macro", 1 / 2),  # Each class: one found, one missed, one false alarm.
        ("nll", -(np.log(0.9) + 2 * np.log(0.4) + np.log(0.8)) / 4),
        ("brier", 2 * (0.1**2 + 0.6**2 + 0.6**2 + 0.2**2) / 4),
        ("ece", (0.1 + 2 * 0.6 + 0.2) / 4),  # bins of 0.9, 0.6 twice, 0.8
        ("agreement", 3 / 4),
    ],
)
def test_two_classes_by_hand(figure, expected):
    assert_allclose(quality(PROBABILITIES_BC, LABELS_B, REFERENCE_BC, 0)[figure], expected, rtol=1e-9)


def test_three_classes_by_hand():
    probabilities_BC = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3]])
    found = quality(probabilities_BC, np.array([0, 1, 1, 2], np.int32), probabilities_BC, 0)
    assert found["accuracy"] == 0.5
    # F1: class 0 has precision 1/2 and recall 1, class 1 both 1/2, class 2 is never predicted.
    assert_allclose(found["f1_macro"], (2 / 3 + 1 / 2 + 0) / 3)
    # AUC: class 0 ranks its row first; class 1's 0.3 and 0.6 win 3 of 4 against 0.2 and 0.5;
    # class 2's 0.3 beats 0.1 and 0.2 and ties with 0.3.
    assert_allclose(found["auc"], (1 + 3 / 4 + 2.5 / 3) / 3)
    assert_allclose(found["nll"], -np.log(0.7 * 0.3 * 0.6 * 0.3) / 4)
    assert_allclose(found["brier"], (0.14 + 0.78 + 0.26 + 0.78) / 4)
    assert found["agreement"] == 1.0


@pytest.mark.parametrize("equal", [False, True], ids=["all different", "many equal"])
def test_figures_of_many_classes_agree_with_scikit_learn(equal):
    rng = np.random.default_rng(0)
    probabilities_BC, labels_B = rng.dirichlet(np.ones(5), 200), rng.integers(0, 5, 200).astype(np.int32)
    if equal:
        probabilities_BC = probabilities_BC[np.arange(200) % 20]
    expected = roc_auc_score(labels_B, probabilities_BC, multi_class="ovr", average="macro")
    found = quality(probabilities_BC, labels_B, probabilities_BC, 0)
    assert_allclose(found["auc"], expected)
    by_class = [average_precision_score(labels_B == c, probabilities_BC[:, c]) for c in range(5)]
    assert_allclose(found["average_precision"], np.mean(by_class))
    assert_allclose(found["nll"], log_loss(labels_B, probabilities_BC))
    assert_allclose(found["brier"], ((probabilities_BC - np.eye(5)[labels_B]) ** 2).sum() / 200)


def test_a_perfect_model():
    labels_B = np.array([0, 1, 2, 0], np.int32)
    found = quality(np.eye(3)[labels_B], labels_B, np.eye(3)[labels_B], 0)
    interval = found.pop("accuracy_ci95")
    assert interval == [1.0, 1.0]
    best = {
        "accuracy": 1,
        "auc": 1,
        "average_precision": 1,
        "f1_macro": 1,
        "nll": 0,
        "brier": 0,
        "ece": 0,
        "agreement": 1,
    }
    assert set(found) == set(best)
    assert_allclose([found[figure] for figure in best], list(best.values()), atol=1e-9)


def test_a_certain_and_wrong_model_has_a_finite_nll():
    found = quality(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 0], np.int32), REFERENCE_BC[:2], 0)
    assert_allclose(found["nll"], -np.log(1e-12), rtol=1e-3)
    assert found["brier"] == 2.0
    assert found["ece"] == 1.0


def test_a_class_absent_from_the_test_rows_leaves_figures_that_json_can_hold():
    probabilities_BC = np.array([[0.5, 0.3, 0.2], [0.2, 0.7, 0.1]])
    found = quality(probabilities_BC, np.array([0, 1], np.int32), probabilities_BC, 0)
    assert found["auc"] == 1.0  # over the two classes that occur, each ranked rightly
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("confidences", "right", "expected"),
    [
        ([0.75] * 4, [1, 1, 1, 0], 0.0),  # calibrated
        ([0.7, 0.7, 0.8, 0.8], [1, 1, 0, 0], 0.55),  # bins 10 and 12: 2/4 * 0.3 + 2/4 * 0.8
        ([0.74, 0.76], [1, 0], 0.25),  # one bin, 11/15 to 12/15: |1/2 - 0.75|
        ([1.0, 1.0], [1, 0], 0.5),  # confidence 1 belongs to the last bin
    ],
)
def test_expected_calibration_error_by_hand(confidences, right, expected):
    probabilities_BC = np.array([[confidence, 1 - confidence] for confidence in confidences])
    labels_B = np.array([0 if hit else 1 for hit in right], np.int32)
    assert_allclose(expected_calibration_error(probabilities_BC, labels_B), expected, atol=1e-12)


@pytest.mark.parametrize(("share", "rows"), [(0.5, 200), (0.8, 200), (0.9, 1000)])
def test_the_accuracy_interval_covers_the_truth_about_95_times_in_100(share, rows):
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(400):
        low, high = accuracy_interval(rng.random(rows) < share, seed=trial)
        covered += low <= share <= high
    assert 0.91 <= covered / 400 <= 0.98  # The standard error is 1.1 %; accuracies are multiples of 1 / rows.


def test_the_accuracy_interval_is_about_two_standard_errors_either_way():
    right_B = np.arange(1000) < 800
    expected = [0.8 - 1.96 * np.sqrt(0.8 * 0.2 / 1000), 0.8 + 1.96 * np.sqrt(0.8 * 0.2 / 1000)]
    assert_allclose(accuracy_interval(right_B, 0), expected, atol=0.003)
    assert accuracy_interval(right_B, 0) == accuracy_interval(right_B[::-1], 0)
    assert accuracy_interval(np.zeros(10, bool), 0) == [0.0, 0.0]
