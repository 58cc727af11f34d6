"""Training: it learns, the same job gives the same weights, interrupted or not, and a wild loss stops it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from small import ignore, small_job

from raykd.artifacts import RunDirectory, logits_folder
from raykd.config import DataConfig, ScalingConfig, TrainingConfig
from raykd.data.reader import Reader
from raykd.data.shards import Manifest
from raykd.distill.logits import write_logits
from raykd.errors import InputError
from raykd.train.checkpoint import Progress, Values, checkpoints_in, load_weights
from raykd.train.launch import launch
from raykd.train.loop import _to_end_of_epoch
from raykd.train.totals import Totals


def _equal(first: Values, second: Values) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_learns_and_repeats_itself(local_ray: None, run_directory: RunDirectory, manifest: Manifest) -> None:
    launch(small_job("a"), run_directory, ignore, ScalingConfig())
    launch(small_job("b"), run_directory, ignore, ScalingConfig())
    launch(small_job("c", seed=5), run_directory, ignore, ScalingConfig())
    history = run_directory.read_json("a/history.json")
    assert max(epoch["validation_accuracy"] for epoch in history) > 0.85
    assert all(0.0 <= epoch["stall_fraction"] <= 1.0 for epoch in history)
    weights = [load_weights(run_directory, folder) for folder in "abc"]
    assert _equal(weights[0], weights[1])
    assert not _equal(weights[0], weights[2])


def test_a_share_shortens_epochs_and_goes_on_through_the_rows(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    events: list[dict[str, Any]] = []
    launch(small_job("part", share=0.5), run_directory, events.append, ScalingConfig())
    # Five steps reach all 69 rows; half of them, rounded up, are three.
    assert [epoch["step"] for epoch in run_directory.read_json("part/history.json")] == [3, 6, 9, 12, 15, 18]
    ends = [event for event in events if event.get("kind") == "epoch"]
    assert [event["share"] for event in ends] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    losses = [event["validation_loss"] for event in ends]
    assert ends[-1]["kept"]["validation_loss"] == min(losses)


class _StopError(Exception):
    pass


@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_resumed_training_equals_uninterrupted_training(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest, epoch: int
) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["epoch"] == epoch:
            raise _StopError

    launch(small_job("whole"), run_directory, ignore, ScalingConfig())
    with pytest.raises(_StopError):
        launch(small_job("cut"), run_directory, stop, ScalingConfig())
    assert bool(checkpoints_in(run_directory, "cut")) == (epoch > 0)
    launch(small_job("cut"), run_directory, ignore, ScalingConfig())
    assert not checkpoints_in(run_directory, "cut")
    assert _equal(load_weights(run_directory, "whole"), load_weights(run_directory, "cut"))


@pytest.mark.parametrize("tasks", [0, 1])
def test_damaged_logits_are_told(local_ray: None, run_directory: RunDirectory, manifest: Manifest, tasks: int) -> None:
    job = small_job("soft", logits=(logits_folder("a"),), alpha=1.0, data=DataConfig(streams=2, read_tasks=tasks))
    damaged = f"{logits_folder('a')}/{manifest.of('train')[1].name}"
    run_directory.write_bytes(damaged, run_directory.read_bytes(damaged)[:-9])
    with pytest.raises(InputError, match=f"{damaged}: found no complete Parquet file") as found:
        launch(job, run_directory, ignore, ScalingConfig())
    assert len(str(found.value).splitlines()) == 1


def test_student_learns_from_logits_alone(local_ray: None, run_directory: RunDirectory, manifest: Manifest) -> None:
    job = small_job("soft", logits=(logits_folder("a"),), alpha=1.0, keep_best=False)
    launch(job, run_directory, ignore, ScalingConfig())
    history = run_directory.read_json("soft/history.json")
    assert len(history) == job.training.epochs
    assert history[-1]["validation_accuracy"] > 0.85


def test_student_learns_from_the_largest_logits_of_very_many_classes(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    many = replace(manifest, classes=2000)
    many.save(run_directory)
    for shard, rows in zip(many.shards, Reader(run_directory, many.shards, many.inputs).all(), strict=True):
        # The same two classes, the teacher sure of its own; all others behind.
        logits = np.full((shard.rows, many.classes), -4.0)
        logits[np.arange(shard.rows), np.maximum(rows["label"], 0)] = 6.0
        write_logits(run_directory, "wide", shard, rows["example_id"], logits)
    spec = replace(small_job("").model, classes=many.classes)
    training = TrainingConfig(epochs=20, batch_size=16, learning_rate=0.03)
    taught = {"logits": (logits_folder("wide"),), "alpha": 1.0, "keep_best": False}
    job = small_job("wide", model=spec, training=training, **taught)
    launch(job, run_directory, ignore, ScalingConfig())
    assert run_directory.read_json("wide/history.json")[-1]["validation_accuracy"] > 0.85


def test_stage_starts_from_the_weights_of_the_one_before(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    launch(small_job("first"), run_directory, ignore, ScalingConfig())
    still = TrainingConfig(epochs=1, batch_size=16, learning_rate=1e-12, weight_decay=0.0, jit_compile=False)
    launch(
        small_job("second", initial="first", training=still, keep_best=False), run_directory, ignore, ScalingConfig()
    )
    first, second = (load_weights(run_directory, folder) for folder in ("first", "second"))
    for before, after in zip(first, second, strict=True):
        if before.dtype == np.float32:  # The others are the states of the dropout's generators.
            np.testing.assert_allclose(after, before, atol=1e-6)


def test_steps_whose_rows_all_have_weight_0_have_no_figures(run_directory: RunDirectory) -> None:
    events: list[dict[str, Any]] = []
    counts = iter([0.0, 8.0])

    def take(count: int) -> Totals:
        rows = next(counts)
        return Totals(tf.constant(2.0 * rows), tf.constant(rows), tf.constant(0.0, tf.float64), tf.constant(-1))

    list(_to_end_of_epoch(small_job("a"), run_directory, take, Progress(), 4, events.append))
    assert [(event["share"], event["loss"]) for event in events] == [(4 / 24, 2.0)]


def test_loss_that_is_not_finite_stops_with_the_step(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    wild = TrainingConfig(epochs=6, batch_size=16, learning_rate=1e38, jit_compile=False, steps_per_call=2)
    with pytest.raises(
        FloatingPointError, match=r"wild: the loss is no longer finite at step \d+; .*lower the learning rate"
    ):
        launch(small_job("wild", training=wild), run_directory, ignore, ScalingConfig())
