import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score

from raykd.evaluate.ranking import rank


def test_two_groups_by_hand() -> None:
    # Group 0 from high to low: wrong, right, right: precisions 1/2 and 2/3. Group 1: right, wrong.
    scores = np.array([0.9, 0.2, 0.5, 0.6, 0.4])
    relevant = np.array([False, True, True, True, False])
    found = rank(scores, relevant, np.array([0, 0, 0, 1, 1]))
    assert_allclose(found.average_precision, [(1 / 2 + 2 / 3) / 2, 1])
    assert_allclose(found.reciprocal_rank, [1 / 2, 1])
    assert found.map == pytest.approx((7 / 12 + 1) / 2)
    assert found.mrr == pytest.approx(3 / 4)


def test_equal_scores_have_the_last_rank() -> None:
    found = rank(np.array([0.5, 0.5, 0.5, 0.1]), np.array([True, False, False, True]), np.zeros(4, np.int64))
    assert_allclose(found.reciprocal_rank, [1 / 3])
    assert_allclose(found.average_precision, [(1 / 3 + 2 / 4) / 2])


def test_groups_without_a_relevant_row_count_for_nothing() -> None:
    found = rank(np.array([0.1, 0.9, 0.3]), np.array([False, True, False]), np.array([1, 0, 1]))
    assert found.counted.tolist() == [True, False]
    assert (found.map, found.mrr) == (1.0, 1.0)
    nothing = rank(np.array([0.1]), np.array([False]), np.array([0]))
    assert (nothing.map, nothing.mrr) == (None, None)


def test_many_groups_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 500)
    groups = np.unique(groups, return_inverse=True)[1]
    scores, relevant = np.round(rng.random(500), 1), rng.random(500) < 0.3
    found = rank(scores, relevant, groups)
    for group in np.flatnonzero(found.counted):
        own = groups == group
        assert found.average_precision[group] == pytest.approx(average_precision_score(relevant[own], scores[own]))
        better = [int((scores[own] >= score).sum()) for score in scores[own & relevant]]
        assert found.reciprocal_rank[group] == pytest.approx(1 / min(better))
