"""Intervals against simulation, and resampled figures against scikit-learn on the resampled rows themselves."""

from typing import Any

import numpy as np
from numpy.testing import assert_allclose
from scipy.stats import norm
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from raykd.evaluate.bootstrap import Bootstrap, interval
from raykd.evaluate.ranking import rank

RESAMPLES = 300
TRIALS = 200  # The standard error of a share of 0.95 is 1.5 %.


def _binary(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    """Two classes whose scores are normal, one standard deviation apart: the true AUC is known."""
    labels = rng.integers(0, 2, rows).astype(np.int32)
    positive = 1 / (1 + np.exp(-rng.normal(labels - 0.5)))
    return np.column_stack([1 - positive, positive]), labels


def test_resampled_figures_are_those_of_the_resampled_rows() -> None:
    """The means that matrices give, against scikit-learn's figures of rows repeated as often as they were drawn."""
    rng = np.random.default_rng(3)
    probabilities, labels = _binary(rng, 60)
    probabilities = np.round(probabilities, 1)  # ties
    bootstrap = Bootstrap(labels, None, seed=5, most=100)
    found = bootstrap.of_model(probabilities, probabilities[::-1])
    expected: dict[str, list[float]] = {
        name: [] for name in ("auc", "average_precision", "f1_macro", "nll", "agreement")
    }
    for counts in bootstrap._counts_RU:
        assert counts.sum() == 60
        drawn = np.repeat(np.arange(60), counts)
        y, p = labels[drawn], probabilities[drawn]
        expected["auc"].append(roc_auc_score(y, p[:, 1]))
        expected["average_precision"].append(average_precision_score(y, p[:, 1]))
        expected["f1_macro"].append(f1_score(y, p.argmax(axis=1), average="macro"))
        expected["nll"].append(log_loss(y, np.maximum(p, 1e-12), labels=[0, 1]))
        other = probabilities[::-1].argmax(axis=1)[drawn]
        expected["agreement"].append(float((p.argmax(axis=1) == other).mean()))
    for name, values in expected.items():
        assert_allclose(found[f"{name}_ci95"], interval(np.array(values)), rtol=2e-5, err_msg=name)


def test_intervals_of_auc_and_nll_cover_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    auc = norm.cdf(1 / np.sqrt(2))
    many, their_labels = _binary(rng, 1_000_000)
    nll = -np.log(many[np.arange(len(their_labels)), their_labels]).mean()
    covered = np.zeros(2)
    for trial in range(TRIALS):
        probabilities, labels = _binary(rng, 300)
        found = Bootstrap(labels, None, trial, RESAMPLES).of_model(probabilities, None)
        covered += [_within(auc, found["auc_ci95"]), _within(nll, found["nll_ci95"])]
    assert (covered / TRIALS > 0.9).all()
    assert (covered / TRIALS < 0.99).all()


def test_intervals_of_paired_differences_cover_the_truth() -> None:
    """Two models that are right on 80 % and 75 % of the rows, mostly the same ones."""
    rng = np.random.default_rng(1)
    covered, widths = 0, []
    for trial in range(TRIALS):
        luck = rng.random(400)
        right, other = luck < 0.8, np.where(rng.random(400) < 0.9, luck < 0.75, rng.random(400) < 0.75)
        found = interval(Bootstrap(np.zeros(400, np.int32), None, trial, RESAMPLES).mean_difference(right, other))
        covered += _within(0.05, found)
        widths.append(found[1] - found[0])
    assert 0.9 < covered / TRIALS < 0.99
    # Unpaired, they would be 2 * 1.96 * sqrt((0.8 * 0.2 + 0.75 * 0.25) / 400) wide.
    assert np.mean(widths) < 0.6 * 2 * 1.96 * np.sqrt((0.16 + 0.1875) / 400)


def test_only_whole_groups_give_intervals_that_cover_where_rows_of_a_group_agree() -> None:
    """80 questions with 5 rows each; a question's rows are all easy or all hard."""
    rng = np.random.default_rng(2)
    covered = {"groups": 0, "rows": 0}
    for trial in range(TRIALS):
        groups = np.repeat(np.arange(80), 5)
        right = rng.random(400) < np.where(rng.random(80) < 0.5, 0.95, 0.65)[groups]
        for unit, of in (("groups", groups), ("rows", None)):
            bootstrap = Bootstrap(np.zeros(400, np.int32), of, trial, RESAMPLES)
            assert bootstrap.unit == unit
            covered[unit] += _within(0.8, interval(bootstrap.mean_difference(right, np.zeros(400))))
    assert 0.9 < covered["groups"] / TRIALS < 0.99
    assert covered["rows"] / TRIALS < 0.93


def test_ranking_intervals_leave_out_groups_without_a_relevant_row() -> None:
    groups = np.repeat(np.arange(200), 3)
    relevant = np.tile([True, False, False], 200) & (groups < 100)
    rng = np.random.default_rng(4)
    ranking = rank(rng.random(600), relevant, groups)
    found = Bootstrap(relevant.astype(np.int32), groups, 0).of_ranking(ranking)
    values = ranking.reciprocal_rank[:100]
    error = 1.96 * values.std() / 10
    assert_allclose(found["mrr_ci95"], [values.mean() - error, values.mean() + error], atol=0.015)
    assert found["map_ci95"] == found["mrr_ci95"]  # One relevant row each: the two are the same.


def test_more_than_two_classes_have_intervals_but_of_areas() -> None:
    rng = np.random.default_rng(6)
    probabilities, labels = rng.dirichlet(np.ones(3), 90), np.repeat(np.arange(3), 30).astype(np.int32)
    found = Bootstrap(labels, None, 0).of_model(probabilities, None)
    assert {name for name, ends in found.items() if ends is None} == {
        "auc_ci95", "average_precision_ci95", "agreement_ci95",
    }  # fmt: skip
    low, high = found["f1_macro_ci95"]
    assert low < f1_score(labels, probabilities.argmax(axis=1), average="macro") < high


def test_many_units_have_fewer_resamples() -> None:
    labels = np.zeros(400_000, np.int32)
    bootstrap = Bootstrap(labels, None, 0)
    assert bootstrap.resamples == 250
    assert Bootstrap(labels, np.arange(400_000) // 1000, 0).resamples == 1000


def _within(truth: float, ends: Any) -> bool:
    return bool(ends[0] <= truth <= ends[1])
