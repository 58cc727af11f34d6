"""The scaling benchmark: what the ratios are of. Its trainings take minutes: `raykd bench scaling` runs them."""

import pytest

from raykd.bench.scaling import summary


def test_summary_compares_medians() -> None:
    found = summary({"1 worker": [10.0, 11.0, 90.0], "2 workers": [19.0], "bound": [20.0]})
    assert found["2 workers over bound"] == pytest.approx(0.95)
    assert found["2 workers over 1 worker"] == pytest.approx(19 / 11)
