"""Figures over seeds."""

from typing import Any

import pytest

from raykd.seeds import FIGURES, compare_seeds


def _evaluation(*models: tuple[str, float]) -> dict[str, Any]:
    return {"models": [{"name": name, **dict.fromkeys(FIGURES, value)} for name, value in models]}


def test_mean_and_sample_deviation_of_models_that_every_seed_has() -> None:
    seeds = [_evaluation(("a", 0.1), ("b", 1.0)), _evaluation(("b", 3.0)), _evaluation(("a", 0.5), ("b", 5.0))]
    found = compare_seeds(seeds)
    assert list(found) == ["b"]
    assert found["b"]["accuracy"] == pytest.approx((3.0, 2.0))


def test_one_seed_has_no_deviation() -> None:
    assert compare_seeds([_evaluation(("a", 0.25))])["a"]["nll"] == (0.25, 0.0)


def test_a_figure_that_one_seed_does_not_know_is_none() -> None:
    unknown = _evaluation(("a", 0.5))
    unknown["models"][0]["retention"] = None
    found = compare_seeds([_evaluation(("a", 0.5)), unknown])["a"]
    assert found["retention"] is None
    assert found["accuracy"] == (0.5, 0.0)
