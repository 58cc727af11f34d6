import json

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from raykd.evaluate.figures import confusions, figures


def test_confusions_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 200).astype(np.int32), rng.integers(0, 4, 200)
    matrix = np.zeros((4, 4), int)
    for true, found, rows in confusions(predicted, labels, 4):
        matrix[true, found] = rows
    assert (matrix == confusion_matrix(labels, predicted)).all()


def test_of_many_classes_the_most_frequent_confusions_are_kept() -> None:
    labels = np.repeat(np.arange(30), 30).astype(np.int32)
    predicted = labels.copy()
    for true in range(30):
        predicted[labels == true] = np.arange(30)  # every class confused with every other once
    predicted[:2] = 7, 7  # and class 0 with class 7 thrice
    found = confusions(predicted, labels, 30)
    assert found[0] == [0, 7, 3]
    assert len(found) == 100
    assert all(true != other for true, other, _ in found)


def test_figures_hold_agreement_and_both_curves_of_scaled_models() -> None:
    teacher = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    student = np.array([[0.8, 0.2], [0.9, 0.1], [0.7, 0.3], [0.3, 0.7]])
    labels = np.array([0, 1, 1, 1], np.int32)
    found = figures({"teacher/a": teacher, "student/plain": student}, labels, {"student/plain": 2.0}, ["teacher/a"])
    assert found["agreement"] == {"teacher/a": {"teacher/a": 1.0}, "student/plain": {"teacher/a": 0.75}}
    assert found["rows_by_class"] == [1, 3]
    assert found["confusion"]["student/plain"] == [[0, 0, 1], [1, 0, 2], [1, 1, 1]]
    assert found["reliability"]["teacher/a"]["after"] is None
    after = found["reliability"]["student/plain"]["after"]
    assert sum(bin_["rows"] for bin_ in after) == 4
    assert max(bin_["confidence"] for bin_ in after) == pytest.approx(0.75)  # 9 to 1 becomes 3 to 1
    assert json.loads(json.dumps(found, allow_nan=False)) == found
