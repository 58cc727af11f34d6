"""Steps in windows are the same steps, one after the other."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from small import IMITATION, INPUTS, small_job, write_teacher

from raykd.artifacts import RunDirectory
from raykd.config import CustomModelConfig, MLPConfig, ModelConfig, TrainingConfig
from raykd.errors import InputError
from raykd.models.build import drawn
from raykd.train.checkpoint import Values, values_of
from raykd.train.faster import Faster
from raykd.train.job import TrainJob
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


@pytest.mark.slow
def test_windows_take_the_same_steps(ways: _Ways) -> None:
    _assert_same_steps(ways)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [MLPConfig(type="mlp", hidden=[8], dropout=0.2), CustomModelConfig(type="bodies:batch_normalised")],
    ids=["dropout", "normalised"],
)
def test_each_precision_is_that_of_a_training_in_it_alone(config: ModelConfig) -> None:
    job = _job()
    job = replace(job, model=replace(job.model, config=config))

    def ways_in(precision: str) -> _Ways:
        return _ways(replace(job, training=job.training.model_copy(update={"precision": precision})))

    both = ways_in("auto")
    assert isinstance(both.program.steps, Faster)
    kernels, compiled, low_kernels, low_compiled, windows, low_windows = both.program.steps.ways
    found = {}
    for steps, precision in ((compiled, "float32"), (low_compiled, "mixed_bfloat16")):
        alone = ways_in(precision)
        totals, values = both.take(steps, _batches())
        expected, expected_values = alone.take(alone.program.singly(True, precision), _batches())
        assert float(totals.loss) == pytest.approx(float(expected.loss), rel=1e-6)
        for mine, theirs in zip(values, expected_values, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
        found[precision] = float(totals.loss)
    assert found["float32"] != pytest.approx(found["mixed_bfloat16"], rel=1e-5)
    for steps, precision in ((windows, "float32"), (low_windows, "mixed_bfloat16")):
        assert float(both.take(steps, _batches())[0].loss) == pytest.approx(found[precision], rel=1e-3)
    for steps in (kernels, low_kernels):  # They draw other dropout.
        assert float(both.take(steps, _batches())[0].loss) == pytest.approx(found["float32"], rel=0.2)


def test_a_student_that_imitates_hidden_states_is_tried_in_one_precision() -> None:
    training = TrainingConfig(batch_size=_ROWS, jit_compile=False, precision="auto")
    program = Program(small_job("one", training=training, hidden=IMITATION), _place())
    assert program.settled


def test_what_xla_cannot_compile_is_one_line_or_not_tried() -> None:
    job = _job()
    normalised = replace(job.model, config=CustomModelConfig(type="bodies:batch_normalised"))
    mirrored = Place(strategy_named("mirrored"))
    assert Program(replace(job, model=normalised), mirrored).settled
    compiled = job.training.model_copy(update={"jit_compile": True})
    with pytest.raises(InputError, match=r"one: training\.jit_compile: found true, .* set it to false or auto"):
        Program(replace(job, model=normalised, training=compiled), mirrored)


@pytest.mark.slow
def test_windows_update_averages_and_projections_too(run_directory: RunDirectory) -> None:
    write_teacher(run_directory)
    _assert_same_steps(_ways(_job(hidden=IMITATION)), run_directory)
    job = _job()
    normalised = replace(job.model, config=CustomModelConfig(type="bodies:batch_normalised"))
    _assert_same_steps(_ways(replace(job, model=normalised)))


@pytest.mark.slow
def test_the_first_wild_step_is_told(ways: _Ways) -> None:
    for wild in (0, 7, 8, 17):
        found, _ = ways.take(ways.in_windows, _batches(wild))
        assert int(found.bad) == wild
