"""Training: it learns, the same job gives the same weights, interrupted or not, and a wild loss stops it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raykd.artifacts import EXAMPLES, RunDirectory, logits_folder
from raykd.config import MLPConfig, TrainingConfig
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.losses import Objective
from raykd.models.build import ModelSpec
from raykd.train.checkpoint import Values, load_checkpoint, load_weights
from raykd.train.job import TrainJob
from raykd.train.launch import launch

INPUTS = InputSpec("features", length=6, dtype="float32")


@pytest.fixture
def manifest(run_directory: RunDirectory) -> Manifest:
    """Two classes that a plane divides; 70 rows to train on, 40 to validate, and one teacher's logits."""
    rng = np.random.default_rng(0)
    plane, shards, start = rng.normal(size=6), [], 0
    for split, rows in (("train", 70), ("validation", 40)):
        for index, ids in enumerate(np.array_split(np.arange(start, start + rows), 2)):
            features = rng.normal(size=(len(ids), 6)).astype(np.float32)
            margin = features @ plane
            shard = Shard(split, index, len(ids), hash_ids(ids))
            columns = {"example_id": ids, "label": (margin > 0).astype(np.int32), "inputs": list(features)}
            write_table(run_directory, f"{EXAMPLES}/{shard.name}", columns)
            logits = np.stack([-margin, margin], axis=1).astype(np.float16)
            write_table(
                run_directory, f"{logits_folder('a')}/{shard.name}", {"example_id": ids, "logits": list(logits)}
            )
            shards.append(shard)
        start += rows
    found = Manifest(2, INPUTS, tuple(shards))
    found.save(run_directory)
    return found


def _job(folder: str, **changes: Any) -> TrainJob:
    job = TrainJob(
        folder=folder,
        model=ModelSpec(MLPConfig(type="mlp", hidden=[8], dropout=0.2), INPUTS, classes=2),
        training=TrainingConfig(epochs=6, batch_size=16, learning_rate=0.03, jit_compile=False, steps_per_call=2),
        seed=4,
        splits=("train",),
        objective=Objective(),
        alpha=0.0,
        temperature=2.0,
        streams=2,
        cache_mib=1,
    )
    return replace(job, **changes)


def _ignore(event: dict[str, Any]) -> None:
    pass


def _equal(first: Values, second: Values) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_learns_and_repeats_itself(local_ray: None, run_directory: RunDirectory, manifest: Manifest) -> None:
    launch(_job("a"), run_directory, _ignore)
    launch(_job("b"), run_directory, _ignore)
    launch(_job("c", seed=5), run_directory, _ignore)
    history = run_directory.read_json("a/history.json")
    assert max(epoch["validation_accuracy"] for epoch in history) > 0.85
    assert all(0.0 <= epoch["stall_fraction"] <= 1.0 for epoch in history)
    weights = [load_weights(run_directory, folder) for folder in "abc"]
    assert _equal(weights[0], weights[1])
    assert not _equal(weights[0], weights[2])


class _StopError(Exception):
    pass


@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_resumed_training_equals_uninterrupted_training(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest, epoch: int
) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["epoch"] == epoch:
            raise _StopError

    launch(_job("whole"), run_directory, _ignore)
    with pytest.raises(_StopError):
        launch(_job("cut"), run_directory, stop)
    assert (load_checkpoint(run_directory, "cut") is None) == (epoch == 0)
    launch(_job("cut"), run_directory, _ignore)
    assert load_checkpoint(run_directory, "cut") is None
    assert _equal(load_weights(run_directory, "whole"), load_weights(run_directory, "cut"))


def test_student_learns_from_logits_alone(local_ray: None, run_directory: RunDirectory, manifest: Manifest) -> None:
    job = _job("soft", logits=(logits_folder("a"),), alpha=1.0, keep_best=False)
    launch(job, run_directory, _ignore)
    history = run_directory.read_json("soft/history.json")
    assert len(history) == job.training.epochs
    assert history[-1]["validation_accuracy"] > 0.85


def test_stage_starts_from_the_weights_of_the_one_before(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    launch(_job("first"), run_directory, _ignore)
    still = TrainingConfig(epochs=1, batch_size=16, learning_rate=1e-12, weight_decay=0.0, jit_compile=False)
    launch(_job("second", initial="first", training=still, keep_best=False), run_directory, _ignore)
    first, second = (load_weights(run_directory, folder) for folder in ("first", "second"))
    for before, after in zip(first, second, strict=True):
        if before.dtype == np.float32:  # The others are the states of the dropout's generators.
            np.testing.assert_allclose(after, before, atol=1e-6)


def test_loss_that_is_not_finite_stops_with_the_step(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    wild = TrainingConfig(epochs=6, batch_size=16, learning_rate=1e38, jit_compile=False, steps_per_call=2)
    with pytest.raises(FloatingPointError, match=r"wild: the loss is \S+ after step \d+; lower the learning rate"):
        launch(_job("wild", training=wild), run_directory, _ignore)
