"""The order of trials that Ray Tune is given, and what Optuna learns from them."""

from typing import Any

from ray.tune.search import Searcher

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.distill.search import Search
from raykd.distill.trials import OBJECTIVE, Record, Settings, known_settings
from raykd.loading import load_config

SWEPT = ("sweep.soft_loss=[kl, logit_mse]", "sweep.student=[{type: mlp, hidden: [8]}, {type: mlp, hidden: [16]}]")


def config(*overrides: str) -> Config:
    return load_config("digits", [*SWEPT, *overrides])


def outcome(accuracy: float) -> dict[str, Any]:
    return {OBJECTIVE: accuracy, "training_iteration": 1}


def test_given_settings_come_first_then_the_searchers_own(run_directory: RunDirectory) -> None:
    own = known_settings(run_directory, config())[0]
    search = Search(config(), run_directory, [(0, own), (1, None), (2, None)], [])
    suggested = [search.suggest(trial) for trial in "abc"]
    assert [trial["number"] for trial in suggested] == [0, 1, 2]
    assert suggested[0]["settings"] == own
    for settings in (trial["settings"] for trial in suggested[1:]):
        assert list(settings) == ["temperature", "alpha", "soft_loss", "student"]
        assert 1.0 <= settings["temperature"] <= 8.0
        assert 0.5 <= settings["alpha"] <= 1.0
        assert settings["student"]["hidden"] in ([8], [16])
    assert search.suggest("d") == Searcher.FINISHED
    # Each that began can go on with what it had.
    assert known_settings(run_directory, config()) == {n: trial["settings"] for n, trial in enumerate(suggested)}


def test_failed_and_stopped_trials_and_those_outside_the_space_are_taken(run_directory: RunDirectory) -> None:
    outside: Settings = {**known_settings(run_directory, config())[0], "temperature": 100.0}
    search = Search(config(), run_directory, [(0, outside), (1, None), (2, None), (3, None)], [])
    for trial in "abcd":
        search.suggest(trial)
    search.on_trial_complete("a", outcome(0.9))
    search.on_trial_complete("b", {**outcome(float("nan")), "reason": "too wild"})
    search.on_trial_complete("c", error=True)
    search.on_trial_complete("d", outcome(0.5))
    assert search._optuna is not None
    states = [trial.state.name for trial in search._optuna._ot_study.trials]
    assert states == ["FAIL", "FAIL", "COMPLETE"]  # Optuna can't take in the one outside.


def test_a_later_command_tells_optuna_what_is_recorded_and_draws_anew(run_directory: RunDirectory) -> None:
    first = Search(config(), run_directory, [(1, None), (2, None)], [])
    records = [
        Record(number, "finished", first.suggest(str(number))["settings"], 0.5 + number / 10) for number in (1, 2)
    ]
    second = Search(config(), run_directory, [(3, None)], records)
    assert second._optuna is not None
    assert [trial.value for trial in second._optuna._ot_study.trials] == [0.6, 0.7]
    assert second.suggest("c")["settings"] not in [record.settings for record in records]


def test_the_search_prefers_what_did_well(run_directory: RunDirectory) -> None:
    search = Search(config("sweep.trials=60"), run_directory, [(number, None) for number in range(60)], [])
    temperatures = []
    for number in range(60):
        settings = search.suggest(str(number))["settings"]
        temperatures.append(settings["temperature"])
        search.on_trial_complete(str(number), outcome(1.0 - abs(settings["temperature"] - 6.0) / 10))
    # A draw falls within 1 of the best temperature in a fifth of the cases: log(7/5) / log(8) = 0.16.
    assert sum(abs(temperature - 6.0) < 1 for temperature in temperatures[30:]) > 15
