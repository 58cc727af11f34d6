"""Steps in windows are the same steps, one after the other."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from small import IMITATION, INPUTS, small_job, write_teacher

from raykd.artifacts import RunDirectory
from raykd.config import CustomModelConfig, TrainingConfig
from raykd.models.build import drawn
from raykd.train.checkpoint import Values, values_of
from raykd.train.faster import Faster
from raykd.train.job import HiddenLoss, TrainJob
from raykd.train.program import Program
from raykd.train.strategy import Place, strategy_named
from raykd.train.totals import Totals

_STEPS, _ROWS = 19, 16  # two windows and three steps


def _job(**changes: Any) -> TrainJob:
    training = TrainingConfig(batch_size=_ROWS, learning_rate=0.05, jit_compile="auto")
    return small_job("one", training=training, **changes)


@dataclass(frozen=True)
class _Ways:
    """A training's program, and its steps one by one and in windows."""

    job: TrainJob
    program: Program
    singly: Any
    in_windows: Any

    def take(self, steps: Any, batches: Any, run: RunDirectory | None = None) -> tuple[Totals, Values]:
        self.program.start(self.job, _STEPS, values_of(drawn(self.job.model, self.job.seed).variables))
        if self.program.imitation is not None and run is not None:
            self.program.imitation.start(self.job, run)
        totals = steps(batches, tf.constant(_STEPS))
        return totals, values_of([*self.program.variables, *self.program.optimizer.variables])


def _ways(job: TrainJob) -> _Ways:
    program = Program(job, _place())
    return _Ways(job, program, program.singly(True, "float32"), program.in_windows("float32"))


def _place() -> Place:
    return Place(strategy_named("one_device"))


@pytest.fixture(scope="module")
def ways() -> _Ways:
    return _ways(_job())


def _batches(wild: int | None = None) -> Any:
    """Args: wild: the batch whose rows are no numbers."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(_STEPS, _ROWS, INPUTS.length)).astype(np.float32)
    labels = (inputs[..., 0] > 0).astype(np.int32)
    weights = np.ones((_STEPS, _ROWS), np.float32)
    weights[-1, 5:] = 0.0  # an epoch's last batch
    if wild is not None:
        inputs[wild] = np.nan
    return iter(tf.data.Dataset.from_tensor_slices({"inputs": inputs, "label": labels, "weight": weights}))


def _assert_same_steps(ways: _Ways, run: RunDirectory | None = None) -> None:
    totals, values = ways.take(ways.singly, _batches(), run)
    found, found_values = ways.take(ways.in_windows, _batches(), run)
    assert float(found.rows) == float(totals.rows) == _STEPS * _ROWS - 11
    assert float(found.loss) == pytest.approx(float(totals.loss), rel=1e-5)
    assert int(found.bad) == int(totals.bad) == -1
    assert float(found.waited) > 0.0
    for mine, theirs in zip(found_values, values, strict=True):  # Dropout's draws among them.
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)


def test_windows_take_the_same_steps(ways: _Ways) -> None:
    _assert_same_steps(ways)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [None, IMITATION], ids=["plain", "imitating"])
def test_every_way_in_every_precision_takes_nearly_the_same_steps(
    run_directory: RunDirectory, hidden: HiddenLoss | None
) -> None:
    write_teacher(run_directory)
    job = _job(hidden=hidden)
    without_dropout = replace(job.model, config=job.model.config.model_copy(update={"dropout": 0.0}))
    both = job.training.model_copy(update={"precision": "auto"})
    ways = _ways(replace(job, model=without_dropout, training=both))
    assert isinstance(ways.program.steps, Faster)
    losses = [float(ways.take(steps, _batches(), run_directory)[0].loss) for steps in ways.program.steps.ways]
    kernels, compiled, low, low_compiled, windows, low_windows = losses
    assert [compiled, windows] == pytest.approx([kernels] * 2, rel=1e-5)
    assert [low_compiled, low_windows] == pytest.approx([low] * 2, rel=0.01)
    assert low == pytest.approx(kernels, rel=0.01)
    assert low != pytest.approx(kernels, rel=1e-5)


@pytest.mark.slow
def test_windows_update_averages_and_projections_too(run_directory: RunDirectory) -> None:
    write_teacher(run_directory)
    _assert_same_steps(_ways(_job(hidden=IMITATION)), run_directory)
    job = _job()
    normalised = replace(job.model, config=CustomModelConfig(type="bodies:batch_normalised"))
    _assert_same_steps(_ways(replace(job, model=normalised)))


def test_the_first_wild_step_is_told(ways: _Ways) -> None:
    for wild in (0, 7, 8, 17):
        found, _ = ways.take(ways.in_windows, _batches(wild))
        assert int(found.bad) == wild
