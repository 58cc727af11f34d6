"""The sweep's decisions: what is tried, what is left, what is best."""

from typing import Any

import pytest

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.distill.trials import (
    Record,
    best,
    known_settings,
    left,
    listed,
    own_settings,
    ranked,
    read_records,
    save_record,
    save_settings,
    shortened,
    space,
    trials_in_all,
    with_settings,
)
from raykd.loading import load_config

OWN = {"temperature": 4.0, "alpha": 0.9}


def digits(*overrides: str) -> Config:
    return load_config("digits", overrides)


def test_grid_is_every_combination_after_the_configurations_own() -> None:
    config = digits("sweep.searcher=grid", "sweep.temperature=[2, 4]", "sweep.alpha=[0.9, 1]")
    pairs = [(settings["temperature"], settings["alpha"]) for settings in listed(config)]
    assert pairs == [(4.0, 0.9), (2.0, 0.9), (2.0, 1.0), (4.0, 1.0)]
    assert trials_in_all(config) == 4


def test_own_settings_outside_the_grid_are_tried_too() -> None:
    config = digits("sweep.searcher=grid", "sweep.temperature=[1]", "sweep.alpha=[0.5]", "sweep.soft_loss=[logit_mse]")
    assert listed(config) == [
        {"temperature": 4.0, "alpha": 0.9, "soft_loss": "kl"},
        {"temperature": 1.0, "alpha": 0.5, "soft_loss": "logit_mse"},
    ]


def test_random_settings_lie_in_the_space_and_depend_on_seed_and_number_alone() -> None:
    few, many, other = (
        listed(digits("sweep.searcher=random", *overrides))
        for overrides in (["sweep.trials=5"], ["sweep.trials=200"], ["sweep.trials=5", "seed=1"])
    )
    assert many[:5] == few
    assert few[0] == other[0] == OWN
    assert few[1:] != other[1:]
    assert all(1.0 <= settings["temperature"] <= 8.0 and 0.5 <= settings["alpha"] <= 1.0 for settings in many)
    # Half of a log-uniform range lies below the geometric mean of its ends, sqrt(8); four standard deviations are 14 %.
    assert 0.36 < sum(settings["temperature"] < 8**0.5 for settings in many) / 200 < 0.64


def test_optuna_knows_only_the_configurations_own_beforehand() -> None:
    assert listed(digits()) == [OWN]
    assert trials_in_all(digits()) == 12


def test_own_settings_hold_what_is_swept() -> None:
    config = digits("sweep.learning_rate=[0.01]", "sweep.student=[{type: mlp, hidden: [8]}]")
    own = own_settings(config)
    assert own["learning_rate"] == 1e-3  # of stage 2
    assert own["student"]["hidden"] == [16]
    assert list(own) == list(space(config))
    assert with_settings(config, own) == config


def test_settings_reach_both_stages_and_the_model() -> None:
    config = digits("sweep.learning_rate=[0.01]", "sweep.student=[{type: mlp, hidden: [8]}]")
    chosen = with_settings(
        config, {**listed(config)[0], "alpha": 0.25, "learning_rate": 4e-3, "soft_loss": "logit_mse"}
    )
    assert (chosen.distill.temperature, chosen.distill.alpha, chosen.distill.soft_loss) == (4.0, 0.25, "logit_mse")
    # Stage 1 has five times the rate of stage 2, and keeps it.
    assert chosen.distill.stage2.learning_rate == pytest.approx(4e-3)
    assert chosen.distill.stage1.learning_rate == pytest.approx(2e-2)
    small = with_settings(config, {"student": {"type": "mlp", "hidden": [8]}})
    assert small.student.model.hidden == [8]  # type: ignore[union-attr]
    assert config.distill.alpha == 0.9


def test_a_proxy_has_epochs_of_its_own() -> None:
    distill = shortened(digits("sweep.stage1_epochs=0", "sweep.stage2_epochs=3")).distill
    assert (distill.stage1.epochs, distill.stage2.epochs) == (0, 3)
    assert shortened(digits()) == digits()


A, B = {"alpha": 0.1}, {"alpha": 0.2}


@pytest.mark.parametrize(
    ("trials", "known", "recorded", "expected"),
    [
        (3, {0: A}, [], [(0, A), (1, None), (2, None)]),
        (3, {0: A}, [0], [(1, None), (2, None)]),
        (3, {0: A, 2: B}, [0], [(2, B), (1, None)]),  # 2 had begun: before what is still to be chosen
        (3, {0: A, 1: A, 2: B}, [1], [(0, A), (2, B)]),
        (3, {0: A, 1: A, 2: B}, [0, 1, 2], []),
    ],
)
def test_what_is_left(trials: int, known: dict[int, Any], recorded: list[int], expected: list[Any]) -> None:
    assert left(trials, known, recorded) == expected


def record(number: int, accuracy: float | None, loss: float | None = 0.5, status: Any = "finished") -> Record:
    return Record(number, status, OWN, accuracy, loss)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([record(0, 0.7), record(1, 0.8)], 1),
        ([record(0, 0.8, 0.5), record(1, 0.8, 0.4)], 1),  # a tie: the lower loss
        ([record(0, 0.8, 0.5), record(1, 0.8, 0.5)], 0),
        ([record(0, 0.7), record(1, 0.9, status="stopped")], 0),
        ([record(0, None, None, "failed"), record(1, 0.6, status="stopped"), record(2, 0.7, status="stopped")], 2),
        ([record(0, None, None, "failed")], None),
        ([], None),
    ],
)
def test_best(records: list[Record], expected: int | None) -> None:
    found = best(records)
    assert (found and found.number) == expected


def test_ranking_puts_failed_trials_last() -> None:
    records = [record(0, None, None, "failed"), record(1, 0.9, status="stopped"), record(2, 0.5), record(3, 0.6)]
    assert [found.number for found in ranked(records)] == [3, 2, 1, 0]


def test_records_and_settings_survive(run_directory: RunDirectory) -> None:
    config = digits("sweep.trials=4")
    assert read_records(run_directory) == []
    save_record(run_directory, record(2, 0.5))
    save_record(run_directory, record(0, None, None, "failed"))
    save_settings(run_directory, 3, B)
    assert read_records(run_directory) == [record(0, None, None, "failed"), record(2, 0.5)]
    assert known_settings(run_directory, config) == {0: OWN, 3: B}
