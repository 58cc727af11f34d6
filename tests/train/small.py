"""A small real training: two classes that a plane divides, and one teacher that knows it."""

from dataclasses import replace
from typing import Any

import numpy as np

from raykd.artifacts import EXAMPLES, RunDirectory, logits_folder
from raykd.config import DataConfig, MLPConfig, TrainingConfig
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.losses import Objective
from raykd.models.build import ModelSpec
from raykd.train.job import HiddenLoss, Trained, TrainJob

INPUTS = InputSpec("features", length=6, dtype="float32")
TEACHER = Trained("teachers/a", ModelSpec(MLPConfig(type="mlp", hidden=[5]), INPUTS, classes=2))
IMITATION = HiddenLoss("mse", 0.5, (TEACHER,))


def write_examples(run_directory: RunDirectory) -> Manifest:
    """69 rows to train on, so that one of two workers has a row less; 40 to validate; 41 unlabelled; logits of `a`."""
    rng = np.random.default_rng(0)
    plane, shards, start = rng.normal(size=6), [], 0
    for split, rows in (("train", 69), ("validation", 40), ("unlabelled", 41)):
        for index, ids in enumerate(np.array_split(np.arange(start, start + rows), 2)):
            features = rng.normal(size=(len(ids), 6)).astype(np.float32)
            margin = features @ plane
            shard = Shard(split, index, len(ids), hash_ids(ids))
            labels = np.full(len(ids), -1) if split == "unlabelled" else margin > 0
            columns = {"example_id": ids, "label": labels.astype(np.int32), "inputs": list(features)}
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


def write_teacher(run_directory: RunDirectory) -> None:
    """Weights of `TEACHER`, whose last layer is narrower than the student's."""
    from raykd.models.build import build
    from raykd.train.checkpoint import save_weights, values_of

    save_weights(run_directory, TEACHER.folder, values_of(build(TEACHER.model, seed=9).variables))


def small_job(folder: str, **changes: Any) -> TrainJob:
    """A training of six epochs, five steps each."""
    job = TrainJob(
        folder=folder,
        model=ModelSpec(MLPConfig(type="mlp", hidden=[8], dropout=0.2), INPUTS, classes=2),
        training=TrainingConfig(epochs=6, batch_size=16, learning_rate=0.03, jit_compile=False, steps_per_call=2),
        seed=4,
        splits=("train",),
        objective=Objective(),
        alpha=0.0,
        temperature=2.0,
        data=DataConfig(streams=2),
    )
    return replace(job, **changes)


def ignore(event: dict[str, Any]) -> None:
    """Take no notice of a progress event."""
