"""Steps compiled or not, whichever is faster."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from small import ignore, small_job

from raykd.artifacts import RunDirectory
from raykd.config import ScalingConfig
from raykd.data.shards import Manifest
from raykd.train.checkpoint import load_weights
from raykd.train.faster import Faster
from raykd.train.launch import launch


@dataclass
class _Taken:
    waited: float


def _way(name: str, seconds: list[float], taken: list[str]) -> Callable[[str, int], _Taken]:
    """Steps that last so much longer than no time, call by call: as if the data had come early."""

    def take(batches: str, count: int) -> _Taken:
        taken.append(name)
        return _Taken(waited=-seconds[taken.count(name) - 1] * count)

    return take


def test_the_fastest_way_is_taken_after_a_trial_whose_first_calls_dont_count() -> None:
    taken: list[str] = []
    ways = [_way("slow", [1.0, 9.0, 8.0, 9.0], taken), _way("fast", [1000.0, 5.0, 4.0, 50.0, *[0.0] * 9], taken)]
    steps = Faster(ways, sums=lambda values: values)
    for _ in range(10):
        steps("batches", 16)
    assert taken == ["slow", "fast"] * 4 + ["fast"] * 2


def test_ways_are_tried_with_calls_of_the_same_sizes() -> None:
    taken: list[str] = []
    steps = Faster([_way(name, [1.0] * 99, taken) for name in ("one", "other")], sums=lambda values: values)
    tried = []
    while steps.chosen is None:
        size = 4 if len(tried) % 2 else 16  # an epoch has 20 steps
        steps("batches", size)
        tried.append((taken[-1], size))
    assert [tried.count((way, size)) for way in ("one", "other") for size in (16, 4)] == [3, 3, 3, 2]


def test_smaller_calls_of_a_later_training_end_a_trial_too() -> None:
    taken: list[str] = []
    steps = Faster([_way(name, [1.0] * 99, taken) for name in "abcdef"], sums=lambda values: values)
    for size in (*[16] * 12, *[12] * 18):
        steps("batches", size)
    assert steps.chosen is not None


def test_all_workers_choose_what_is_fastest_for_all_together() -> None:
    taken: list[str] = []
    steps = Faster(
        [_way("mine", [1.0] * 9, taken), _way("theirs", [2.0] * 9, taken)],
        sums=lambda values: values + np.array([50.0, 5.0]),
    )
    for _ in range(9):
        steps("batches", 1)
    assert taken[-1] == "theirs"


def test_a_trial_is_part_of_the_training(local_ray: None, run_directory: RunDirectory, manifest: Manifest) -> None:
    model = small_job("auto").model
    without_dropout = replace(model, config=model.config.model_copy(update={"dropout": 0.0}))
    job = small_job("auto", model=without_dropout)
    launch(replace(job, folder="plain"), run_directory, ignore, ScalingConfig())
    launch(replace(job, training=job.training.model_copy(update={"jit_compile": "auto"})), run_directory, ignore,
           ScalingConfig())  # fmt: skip
    for found, expected in zip(*(load_weights(run_directory, folder) for folder in ("auto", "plain")), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
