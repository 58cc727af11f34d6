"""`raykd bench feed`: rows per second into TensorFlow, beside tf.data reading the same rows from TFRecord files."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.bench.examples import write_examples
from raykd.config import Cache, DataConfig, MLPConfig, TrainingConfig
from raykd.data.reader import Reader
from raykd.data.shards import Manifest
from raykd.losses import Objective
from raykd.models.build import ModelSpec
from raykd.train.batches import dataset, feed_of, trimmed
from raykd.train.job import TrainJob
from raykd.train.strategy import Place, strategy_named

LENGTH = 64
_STREAMS = 8
_READ_BYTES = 8 << 20


@dataclass(frozen=True)
class Size:
    """What is read: rows of 64 int32 ids."""

    rows: int = 400_000
    batch_size: int = 256
    shard_rows: int = 8192
    repeats: int = 5


Rates = dict[str, list[float]]
"""Rows per second of every repeat, by case."""


def measure(size: Size, show: Callable[[str, float], None]) -> Rates:
    """Read all rows in every case, alternating, after a round that isn't counted: it starts processes. Needs Ray.

    Args: show: gets each case's rate as soon as it is known.
    """
    rates: Rates = {"TFRecord": [], "Parquet, cold": [], "cached": []}
    with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
        run = RunDirectory(folder)
        shards = max(1, size.rows // (size.shard_rows * _STREAMS)) * _STREAMS
        manifest = write_examples(run, {"train": size.rows}, LENGTH, shards)
        files = write_tfrecords(run, manifest, Path(folder) / "tfrecord")
        for repeat in range(size.repeats + 1):
            for case, rate in _all_cases(size, run, manifest, files):
                if repeat:
                    rates[case].append(rate)
                    show(f"{case}, repeat {repeat} of {size.repeats}", rate)
    return rates


def summary(rates: Rates) -> dict[str, float]:
    """Medians, and how many times as fast as TFRecord."""
    medians = {case: statistics.median(values) for case, values in rates.items()}
    ours = {f"{case} over TFRecord": medians[case] / medians["TFRecord"] for case in medians if case != "TFRecord"}
    return {**medians, **ours}


def _all_cases(size: Size, run: RunDirectory, manifest: Manifest, files: list[str]) -> Iterator[tuple[str, float]]:
    shards = manifest.of("train")
    steps = sum(-(-shard.rows // size.batch_size) for shard in shards)  # No batch crosses files.
    yield "TFRecord", _rate(size.rows, steps, lambda: iter(tfrecord_dataset(files, size.batch_size)))
    cold = _job(size, manifest, "none")
    steps = cold.order(manifest).steps_per_epoch
    yield "Parquet, cold", _rate(size.rows, steps, lambda: iter(_dataset(cold, run, manifest, steps)))
    cached = iter(_dataset(_job(size, manifest, "memory"), run, manifest, 2 * steps))
    _count(cached, tf.constant(steps))  # The first epoch reads the files.
    yield "cached", _rate(size.rows, steps, lambda: cached)


def _rate(rows: int, steps: int, start: Callable[[], Iterator[Any]]) -> float:
    begun = time.perf_counter()
    batches = start()
    counted = int(_count(batches, tf.constant(steps)))
    seconds = time.perf_counter() - begun  # Before the iterator is taken down.
    if counted != rows:
        raise AssertionError(f"{counted} rows came, {rows} were written")
    return rows / seconds


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
def _count(batches: Iterator[Any], steps: tf.Tensor) -> tf.Tensor:
    """Take so many batches and count the rows that aren't padding."""
    rows = tf.constant(0.0)
    for _ in tf.range(steps):
        batch = trimmed(next(batches))
        with tf.control_dependencies([batch["inputs"]]):
            rows += tf.reduce_sum(batch["weight"])
    return rows


def _job(size: Size, manifest: Manifest, cache: Cache) -> TrainJob:
    return TrainJob(
        folder="feed",
        model=ModelSpec(MLPConfig(type="mlp"), manifest.inputs, manifest.classes),  # It isn't built.
        training=TrainingConfig(batch_size=size.batch_size),
        seed=0,
        splits=("train",),
        objective=Objective(),
        alpha=0.0,
        temperature=1.0,
        data=DataConfig(cache=cache, read_tasks=os.cpu_count() or 1),  # tf.data is given as many
    )


def _dataset(job: TrainJob, run: RunDirectory, manifest: Manifest, steps: int) -> tf.data.Dataset:
    feed = feed_of(job, run, manifest, Place(strategy_named("one_device")))
    return dataset(feed, job, manifest, 0, steps)


def tfrecord_dataset(files: list[str], batch_size: int) -> tf.data.Dataset:
    """The rows as fast as tf.data reads them here: files interleaved batch by batch, parallel parse, prefetch.

    Interleaved row by row, as the guide to performance has it, it is ten times slower.
    """
    features = {"inputs": tf.io.FixedLenFeature([LENGTH], tf.int64), "label": tf.io.FixedLenFeature([], tf.int64)}

    def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.io.parse_example(records, features)
        inputs, labels = (tf.cast(rows[name], tf.int32) for name in ("inputs", "label"))
        return {"inputs": inputs, "label": labels, "weight": tf.ones_like(labels, tf.float32)}

    def batches_of(file: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(file, buffer_size=_READ_BYTES).batch(batch_size)

    return (
        tf.data.Dataset.from_tensor_slices(files)
        .interleave(batches_of, cycle_length=_STREAMS, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
        .prefetch(tf.data.AUTOTUNE)
    )


def write_tfrecords(run: RunDirectory, manifest: Manifest, folder: Path) -> list[str]:
    """The training rows as TFRecord files, one per shard; returns their paths."""
    folder.mkdir()
    files: list[str] = []
    for arrays in Reader(run, manifest.of("train"), manifest.inputs).all():
        files.append(str(folder / f"{len(files):05d}.tfrecord"))
        with tf.io.TFRecordWriter(files[-1]) as writer:
            for inputs, label in zip(arrays["inputs"].tolist(), arrays["label"].tolist(), strict=True):
                features = {"inputs": _int64s(inputs), "label": _int64s([label])}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
    return files


def _int64s(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
