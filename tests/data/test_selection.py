"""Which rows without a label are kept, by whose prediction, and how much each counts."""

import numpy as np
import pytest

from raykd.data.selection import Selection, balanced

UNKNOWN = np.array([-1], np.int32)


def _logits(*teachers: list[float]) -> np.ndarray:
    """One row, [1, N, C], of teachers with these probabilities."""
    return np.log(np.array(teachers))[None].astype(np.float16)


TWO = _logits([0.9, 0.1], [0.3, 0.7])  # on average 0.6 and 0.4


@pytest.mark.parametrize(
    ("selection", "weight"),
    [
        (Selection(0.55), 1.0),
        (Selection(0.65), 0.0),
        (Selection(0.55, class_weights=(0.25, 3.0)), 0.25),
        (Selection(0.54, class_weights=(0.25, 3.0), teachers=(0.25, 0.75)), 3.0),  # 0.45 and 0.55
        (Selection(0.56, class_weights=(0.25, 3.0), teachers=(0.25, 0.75)), 0.0),
        (Selection(0.65, space="logits"), 1.0),  # sqrt(0.27) and sqrt(0.07): 0.663 and 0.337
        (Selection(0.67, space="logits"), 0.0),
    ],
)
def test_the_average_teacher_decides(selection: Selection, weight: float) -> None:
    labels, weights = selection(UNKNOWN, TWO)
    assert (labels.tolist(), weights.tolist()) == ([-1], [weight])


def test_labelled_rows_always_count_once() -> None:
    labels, weights = Selection(0.99, class_weights=(0.5, 0.5), hard=True)(np.array([0, 1], np.int32), TWO.repeat(2, 0))
    assert (labels.tolist(), weights.tolist()) == ([0, 1], [1.0, 1.0])


def test_hard_labels_are_the_classes_predicted_for_kept_rows() -> None:
    logits = np.concatenate([TWO, TWO, _logits([0.1, 0.9], [0.1, 0.9])])
    labels, weights = Selection(0.65, class_weights=(2.0, 0.5), hard=True)(np.array([1, -1, -1], np.int32), logits)
    assert (labels.dtype, weights.dtype) == (np.int32, np.float32)
    assert (labels.tolist(), weights.tolist()) == ([1, -1, 1], [1.0, 0.0, 0.5])


def test_balanced_classes_count_alike_and_rows_as_many_as_before() -> None:
    # 8 rows of 2 classes: each class is to count as 4.
    assert balanced([6, 2, 0]) == pytest.approx((4 / 6, 2.0, 0.0))
    assert balanced([5, 5]) == (1.0, 1.0)
    assert balanced([0, 0]) == (0.0, 0.0)
    counts = [1, 10, 100]
    totals = np.multiply(balanced(counts), counts)
    np.testing.assert_allclose(totals, [37.0, 37.0, 37.0])
