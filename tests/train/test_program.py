"""Steps in windows are the same steps, one after the other."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from small import IMITATION, INPUTS, small_job, write_teacher

from raykd.artifacts import RunDirectory
from raykd.config import TrainingConfig
from raykd.models.build import drawn
from raykd.train.checkpoint import Values, values_of
from raykd.train.job import HiddenLoss, TrainJob
from raykd.train.program import Program
from raykd.train.strategy import Place, strategy_named
from raykd.train.totals import Totals

_STEPS, _ROWS = 19, 16  # two windows and three steps


def _job(**changes: Any) -> TrainJob:
    training = TrainingConfig(batch_size=_ROWS, learning_rate=0.05, jit_compile="auto")
    return small_job("one", training=training, **changes)


def _program(job: TrainJob) -> Program:
    return Program(job, Place(strategy_named("one_device")))


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


def _taken(program: Program, job: TrainJob, run: RunDirectory, steps: Any, batches: Any) -> tuple[Totals, Values]:
    program.start(job, _STEPS, values_of(drawn(job.model, job.seed).variables))
    if program.imitation is not None:
        program.imitation.start(job, run)
    totals = steps(batches, tf.constant(_STEPS))
    return totals, values_of([*program.variables, *program.optimizer.variables])


@pytest.mark.parametrize("hidden", [None, IMITATION], ids=["plain", "imitating"])
def test_windows_take_the_same_steps(run_directory: RunDirectory, hidden: HiddenLoss | None) -> None:
    write_teacher(run_directory)
    job = _job(hidden=hidden)
    program = _program(job)
    totals, values = _taken(program, job, run_directory, program.singly(True), _batches())
    found, found_values = _taken(program, job, run_directory, program.in_windows(), _batches())
    assert float(found.rows) == float(totals.rows) == _STEPS * _ROWS - 11
    assert float(found.loss) == pytest.approx(float(totals.loss), rel=1e-5)
    assert int(found.bad) == int(totals.bad) == -1
    assert float(found.waited) > 0.0
    for mine, theirs in zip(found_values, values, strict=True):  # Dropout's draws among them.
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)


def test_the_first_wild_step_is_told(run_directory: RunDirectory) -> None:
    job = _job()
    program = _program(job)
    steps = program.in_windows()
    for wild in (0, 7, 8, 17):
        found, _ = _taken(program, job, run_directory, steps, _batches(wild))
        assert int(found.bad) == wild
