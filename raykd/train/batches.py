"""From the feed into TensorFlow: a worker's batches as a tf.data.Dataset."""

import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.data import largest
from raykd.data.feed import Feed
from raykd.data.shards import Manifest
from raykd.errors import InputError
from raykd.train.job import TrainJob
from raykd.train.strategy import Place

_PREFETCHED_WINDOWS = 2


def feed_of(job: TrainJob, run: RunDirectory, manifest: Manifest, place: Place) -> Feed:
    """A worker's feed. Raises: InputError when its rows can't be cut into equal parts for its replicas."""
    feed = job.feed(run, manifest, place.rank, place.workers)
    if feed.rows % (place.replicas * job.training.accumulate):
        raise InputError(
            f"{job.folder}: {feed.rows} rows of a batch in this worker for {place.replicas} replicas and "
            f"{job.training.accumulate} accumulated parts, expected a multiple; change batch_size or accumulate"
        )
    return feed


def dataset(feed: Feed, job: TrainJob, manifest: Manifest, start: int, stop: int) -> tf.data.Dataset:
    """A worker's part of global batches `start` to `stop` - 1, prepared ahead of the step that reads them."""
    return batches_of(feed, signature(job, manifest, feed.rows), job.data.prefetch, start, stop)


def batches_of(feed: Feed, spec: dict[str, tf.TensorSpec], prefetch: int, start: int, stop: int) -> tf.data.Dataset:
    """Global batches `start` to `stop` - 1 of a feed, to be `trimmed`; they can be taken once.

    Args: spec: of one batch; prefetch: batches prepared ahead.
    """
    windows = [feed.windows(start, stop)]
    signature = {name: tf.TensorSpec((None, *one.shape), one.dtype) for name, one in spec.items()}
    # Windows cross from Python, batches are cut from them in TensorFlow's own threads. They are handed over: TensorFlow
    # keeps the function for good, and with it the feed of a training that stops early.
    batches = (
        tf.data.Dataset.from_generator(windows.pop, output_signature=signature)
        .prefetch(min(prefetch, _PREFETCHED_WINDOWS))
        .unbatch()
        .prefetch(prefetch)
    )
    options = tf.data.Options()
    options.experimental_warm_start = prefetch > 0  # Read while the step is traced and compiled, not after.
    # All buffers have their size. The tuner would find nothing, and ending an iterator waits for its next round.
    options.autotune.enabled = False
    return batches.with_options(options)


def trimmed(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Tokens cut to the batch's own width. In the step this costs nothing; as a `map`, a third of the feed's speed."""
    if "width" not in batch:
        return batch
    rest = {name: values for name, values in batch.items() if name != "width"}
    return {**rest, "inputs": batch["inputs"][:, : batch["width"]]}


def spread(packed: tf.Tensor, classes: int) -> tf.Tensor:
    """`largest.spread` in a step: teachers' logits [B, N, C] of what a batch holds, [B, N, width]."""
    if largest.is_dense(classes):
        return packed
    values, chosen, rest = tf.split(packed, [largest.KEPT, largest.KEPT, 1], axis=2)
    rows, teachers = packed.shape[0], packed.shape[1]
    places = tf.reshape(tf.cast(chosen, tf.int32), (rows * teachers, largest.KEPT))
    first = tf.range(rows * teachers)[:, None] * classes
    level = tf.reshape(tf.repeat(rest, classes, axis=2), [-1])
    logits = tf.tensor_scatter_nd_update(level, tf.reshape(first + places, (-1, 1)), tf.reshape(values, [-1]))
    return tf.reshape(logits, (rows, teachers, classes))


def signature(job: TrainJob, manifest: Manifest, rows: int) -> dict[str, tf.TensorSpec]:
    """Shapes and types of a worker's batch, before it is trimmed."""
    inputs = manifest.inputs
    signature = {
        "inputs": tf.TensorSpec((rows, inputs.length), inputs.dtype),
        "label": tf.TensorSpec((rows,), tf.int32),
        "weight": tf.TensorSpec((rows,), tf.float32),
    }
    if inputs.kind == "tokens":
        signature["width"] = tf.TensorSpec((), tf.int32)
    if job.augmentation is not None:
        signature["key"] = tf.TensorSpec((rows,), tf.uint64)
    if job.logits:
        shape = (rows, len(job.logits), largest.width(manifest.classes))
        signature["teacher_logits"] = tf.TensorSpec(shape, largest.dtype(manifest.classes))
    return signature
