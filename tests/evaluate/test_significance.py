import numpy as np
import pytest

from raykd.evaluate.bootstrap import Bootstrap
from raykd.evaluate.significance import crossing, gains, holm, mcnemar


def test_mcnemar_by_hand() -> None:
    # Of 6 rows on which they differ the first is right on 5: 2 * (6 + 1) / 2^6.
    right = np.array([1, 1, 1, 1, 1, 0, 1, 0], bool)
    other = np.array([0, 0, 0, 0, 0, 1, 1, 0], bool)
    assert mcnemar(right, other) == pytest.approx(14 / 64)
    assert mcnemar(other, right) == pytest.approx(14 / 64)
    assert mcnemar(right, right) == 1.0


def test_mcnemar_of_equal_models_is_rarely_small() -> None:
    rng = np.random.default_rng(0)
    p_values = np.array([mcnemar(rng.random(300) < 0.8, rng.random(300) < 0.8) for _ in range(400)])
    assert (p_values < 0.05).mean() < 0.08  # An exact test is below its level, but for chance: 5 % plus 3 errors.


def test_crossing_counts_resamples_on_the_other_side() -> None:
    assert crossing(np.linspace(-1, 3, 999)) == pytest.approx(2 * 251 / 1000)  # 250 of 999 are 0 or less
    assert crossing(np.ones(999)) == pytest.approx(2 / 1000)
    assert crossing(np.zeros(999)) == 1.0


def test_holm_by_hand() -> None:
    # In order 0.01, 0.03, 0.04: times 3, 2, 1 and never falling.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_gains_over_the_plain_student() -> None:
    rng = np.random.default_rng(1)
    luck = rng.random(500)
    right = {"student/plain": luck < 0.7, "student/tmkd": luck < 0.8, "student/same": luck < 0.7}
    found = gains(right, "student/plain", Bootstrap(np.zeros(500, np.int32), None, 0))
    assert set(found["student/plain"].values()) == {None}
    tmkd = found["student/tmkd"]
    assert tmkd["gain"] == pytest.approx(((luck >= 0.7) & (luck < 0.8)).mean())
    assert tmkd["gain_ci95"][0] < tmkd["gain"] < tmkd["gain_ci95"][1]
    assert tmkd["gain_p"] < 1e-6
    assert tmkd["gain_p_holm"] == pytest.approx(2 * tmkd["gain_p"])
    same = found["student/same"]
    assert (same["gain"], same["gain_ci95"], same["gain_p"]) == (0.0, [0.0, 0.0], 1.0)


def test_without_a_plain_student_there_is_no_gain() -> None:
    found = gains({"student/tmkd": np.ones(4, bool)}, None, Bootstrap(np.zeros(4, np.int32), None, 0))
    assert set(found["student/tmkd"].values()) == {None}
