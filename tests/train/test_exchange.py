"""Of large tables only rows with a gradient travel, and nothing changes by that."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import ray
import ray.train
import tensorflow as tf
from ray.train import RunConfig
from ray.train.tensorflow import TensorflowTrainer
from small import ignore

from raykd.artifacts import RunDirectory
from raykd.bench.cross_encoder import cross_encoder_job
from raykd.bench.examples import write_examples
from raykd.config import BiLSTMConfig, MLPConfig, ScalingConfig, TrainingConfig
from raykd.data.encoding import InputSpec
from raykd.data.shards import read_manifest
from raykd.models.build import ModelSpec
from raykd.train import exchange
from raykd.train.checkpoint import load_weights, save_weights, values_of
from raykd.train.exchange import Exchange
from raykd.train.job import TrainJob
from raykd.train.launch import launch
from raykd.train.strategy import Place, strategy_named

WORDS, BATCH, LENGTH = 50, 3, 4
KERNEL = WORDS, 5


def _exchange(shapes: Sequence[Sequence[int]], *, kind: str = "tokens", workers: int = 2) -> Exchange:
    inputs = InputSpec("tokens", LENGTH, "int32", WORDS) if kind == "tokens" else InputSpec("features", WORDS, "uint8")
    config = BiLSTMConfig(type="bilstm") if kind == "tokens" else MLPConfig(type="mlp")
    place = Place(strategy_named("one_device"), workers=workers)
    variables = [keras.Variable(np.zeros(shape), name=_name(shape)) for shape in shapes]
    return Exchange(place, variables, ModelSpec(config, inputs, classes=2), BATCH)


def _name(shape: Sequence[int]) -> str:
    """A table's of as many words, or more, but for that of a layer which isn't one."""
    return "embeddings" if len(shape) == 2 and shape[0] >= WORDS and tuple(shape) != KERNEL else "kernel"


@pytest.fixture(autouse=True)
def _small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TABLE_VALUES", 1)


@pytest.mark.parametrize("used", [1, BATCH * LENGTH])
@pytest.mark.parametrize(
    "shapes",
    [
        [[WORDS, 4], [4, 4], [2]],
        [[7], [WORDS, 4], [2, 2], [WORDS, 3]],
        [[3], [WORDS + 2, 4], [WORDS, 2], [1]],
        [[3, 3], [WORDS], KERNEL],
    ],
    ids=["first", "apart", "side_by_side", "none"],
)
def test_one_replica_gets_its_own_row_back(shapes: list[list[int]], used: int) -> None:
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    for gradient in gradients:
        if _name(gradient.shape) == "embeddings":
            unused = rng.choice(np.arange(1, len(gradient)), len(gradient) - used, replace=False)
            gradient[unused] = 0.0
    gradients[0].flat[0] = np.nan  # of a row that counts, too
    row = np.concatenate([*(gradient.ravel() for gradient in gradients), [5.0, 6.0]]).astype(np.float32)
    summed = _exchange(shapes)

    def of_replica(values: tf.Tensor) -> tf.Tensor:
        # As in a step: what is before and after the exchange is compiled.
        doubled = tf.function(lambda row: row * 2.0, jit_compile=True)
        return doubled(summed(doubled(values)))

    strategy = tf.distribute.get_strategy()
    found = tf.function(lambda values: strategy.run(of_replica, args=(values,)))(row)
    np.testing.assert_array_equal(found, row * 4.0)


@pytest.mark.parametrize("changes", [{"kind": "features"}, {"workers": 1}], ids=["features", "one_worker"])
def test_without_words_or_other_workers_all_of_it_travels(changes: dict[str, Any]) -> None:
    assert _exchange([[WORDS, 4], [3]])._tables
    assert not _exchange([[WORDS, 4], [3]], **changes)._tables


def _job(folder: str, run: RunDirectory) -> TrainJob:
    training = TrainingConfig(epochs=3, batch_size=8, learning_rate=0.1, optimizer="sgd")
    return cross_encoder_job(folder, 1, 32, read_manifest(run), training)


def _on_two_workers(run: RunDirectory) -> None:
    def work() -> None:
        from raykd.train.loop import train
        from raykd.train.program import program_for

        exchange.TABLE_VALUES = 1
        context = ray.train.get_context()
        place = Place(strategy_named("multi_worker_mirrored"), context.get_world_rank(), context.get_world_size())
        job = _job("workers", run)
        train(job, run, read_manifest(run), place, ignore)
        program = program_for(job, place)
        assert program._exchange._tables
        save_weights(run, f"workers/rank-{place.rank}", values_of(program.model.variables))

    scaling = ray.train.ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1})
    TensorflowTrainer(work, scaling_config=scaling, run_config=RunConfig(storage_path=run.root, name="ray")).fit()


@pytest.mark.slow
def test_two_workers_that_send_rows_train_as_one_device(local_ray: None, run_directory: RunDirectory) -> None:
    write_examples(run_directory, {"train": 44, "validation": 16}, LENGTH, shards=2)
    launch(_job("one", run_directory), run_directory, ignore, ScalingConfig())
    _on_two_workers(run_directory)
    weights = [load_weights(run_directory, folder) for folder in ("one", "workers/rank-0", "workers/rank-1")]
    for one, first, second in zip(*weights, strict=True):
        np.testing.assert_allclose(first, one, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(first, second)
