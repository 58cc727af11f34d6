"""What each knob of the feed gives where the rows come through an expensive map, beside a step that computes."""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.bench.examples import write_examples
from raykd.config import DataConfig
from raykd.data.feed import Feed, bytes_per_row
from raykd.data.order import Order
from raykd.data.reader import Reader
from raykd.data.shards import read_manifest
from raykd.train.batches import batches_of

_LENGTH, _BATCH, _SHARDS, _EPOCHS = 64, 64, 32, 3
_ROUNDS = 1000  # of the map's hash: about half a millisecond a row, 30 a batch
_STEP_WIDTH = 768  # of the step's matrix product: about 10 milliseconds a batch


class ExpensiveReader(Reader):
    """Computes something for each row, as decoding an image or encoding a text would."""

    def table(self, position: int) -> pa.Table:
        """As `Reader.table`, after the computation."""
        table = super().table(position)
        for row in table["inputs"].to_pylist():
            hashlib.pbkdf2_hmac("sha256", repr(row).encode(), b"", _ROUNDS)
        return table


@dataclass(frozen=True)
class Knobs:
    """A setting of the feed; `mapped`: the map was done once, when the shards were written."""

    data: DataConfig
    mapped: bool = False


_NONE = DataConfig(read_tasks=0, prefetch=0, cache="none")
CASES = {
    "none": Knobs(_NONE),
    "parallel map": Knobs(_NONE.model_copy(update={"read_tasks": 2})),
    "prefetch": Knobs(_NONE.model_copy(update={"prefetch": 8})),
    "cache after the map, in memory": Knobs(_NONE.model_copy(update={"cache": "memory"})),
    "cache after the map, on disk": Knobs(_NONE, mapped=True),
    "all": Knobs(DataConfig(read_tasks=2, prefetch=8, cache="memory")),
}


def measure_knobs(rows: int, repeats: int, show: Callable[[str, float], None]) -> dict[str, list[float]]:
    """Rows per second over three epochs with every setting, alternating. Needs Ray.

    Args: show: gets each case's rate as soon as it is known.
    """
    rates: dict[str, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
        run = RunDirectory(folder)
        write_examples(run, {"train": rows}, _LENGTH, _SHARDS)
        _rate(run, rows, CASES["parallel map"])  # The first Ray Data tasks of a process take seconds to start.
        for repeat in range(repeats):
            for case, knobs in CASES.items():
                rates[case].append(_rate(run, rows, knobs))
                show(f"{case}, repeat {repeat + 1} of {repeats}", rates[case][-1])
    return rates


def medians(rates: dict[str, list[float]]) -> dict[str, float]:
    """By case, and how many times as fast as without any knob."""
    found = {case: statistics.median(values) for case, values in rates.items()}
    return {**found, **{f"{case} over none": found[case] / found["none"] for case in found if case != "none"}}


def _rate(run: RunDirectory, rows: int, knobs: Knobs) -> float:
    manifest = read_manifest(run)
    kind = Reader if knobs.mapped else ExpensiveReader
    reader = kind(run, manifest.of("train"), manifest.inputs)
    order = Order(manifest.of("train"), knobs.data.streams, _BATCH, seed=0)
    feed = Feed(
        reader,
        order,
        row_bytes=bytes_per_row(manifest.inputs, 0, manifest.classes),
        cached=knobs.data.cache == "memory",
        tasks=knobs.data.read_tasks,
    )
    steps = _EPOCHS * order.steps_per_epoch
    spec = {
        "inputs": tf.TensorSpec((_BATCH, _LENGTH), tf.int32),
        "width": tf.TensorSpec((), tf.int32),
        "label": tf.TensorSpec((_BATCH,), tf.int32),
        "weight": tf.TensorSpec((_BATCH,), tf.float32),
    }
    begun = time.perf_counter()
    for batch in batches_of(feed, spec, knobs.data.prefetch, 0, steps):
        _step(batch["inputs"])
    return _EPOCHS * rows / (time.perf_counter() - begun)


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
def _step(inputs: tf.Tensor) -> tf.Tensor:
    """Stands for a training step on one core."""
    matrix = tf.fill((_STEP_WIDTH, _STEP_WIDTH), tf.cast(inputs[0, 0], tf.float32))
    return tf.reduce_sum(matrix @ matrix)
