"""`raykd bench store`: what the logits store takes on disk, and how fast it is written and read.

Logits are drawn from a normal distribution: real ones, of which many are alike, take less. Rows are read as a training
reads them, beside their examples of one number each.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from raykd.artifacts import RunDirectory, logits_folder
from raykd.bench.examples import write_features
from raykd.data import largest
from raykd.data.reader import Reader
from raykd.distill.logits import write_logits

_TEACHER, _SHARD_ROWS = "drawn", 2048
_DEVIATION = 3.0
_MOST_NUMBERS = 1 << 25  # drawn at once


@dataclass(frozen=True)
class Size:
    """How much is measured. Args: rows: fewer with very many classes; classes: numbers of them, each a case."""

    rows: int = 32_768
    repeats: int = 3
    classes: tuple[int, ...] = (2, 77, 30_000)


@dataclass(frozen=True)
class Measured:
    """Args: rates: rows per second of every repeat, by case; sizes: bytes, by what they are of."""

    rates: dict[str, list[float]]
    sizes: dict[str, float]


def measure(size: Size, show: Callable[[str, float], None]) -> Measured:
    """Write and read, so often, with each number of classes; the first time doesn't count.

    Args: show: gets each rate as soon as it is known.
    """
    measured = Measured({}, {})
    for classes in size.classes:
        rows = max(_SHARD_ROWS, min(size.rows, _MOST_NUMBERS // classes))
        for turn in range(size.repeats + 1):
            with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
                run = RunDirectory(folder)
                written, read = _written_and_read(run, rows, classes)
                measured.sizes.update(_bytes(run, classes))
            for done, rate in (("written", written), ("read", read)) if turn else ():
                case = f"{classes:,} classes, {done}"
                measured.rates.setdefault(case, []).append(rate)
                show(f"{case}, repeat {turn} of {size.repeats}", rate)
    return measured


def summary(measured: Measured) -> dict[str, float]:
    """Medians of the rates."""
    return {case: statistics.median(values) for case, values in measured.rates.items()}


def _written_and_read(run: RunDirectory, rows: int, classes: int) -> tuple[float, float]:
    """Rows per second."""
    manifest = write_features(run, {"train": rows}, 1, classes, rows // _SHARD_ROWS)
    reader = Reader(run, manifest.of("train"), manifest.inputs, (logits_folder(_TEACHER),))
    ids = [shard["example_id"] for shard in Reader(run, reader.shards, manifest.inputs).all()]
    logits = np.random.default_rng(0).normal(0.0, _DEVIATION, (max(map(len, ids)), classes)).astype(np.float32)
    begun = time.perf_counter()
    for shard, own in zip(reader.shards, ids, strict=True):
        write_logits(run, _TEACHER, shard, own, logits[: len(own)])
    written = time.perf_counter()
    found = sum(len(shard["teacher_logits"]) for shard in reader.all())
    return found / (written - begun), found / (time.perf_counter() - written)


def _bytes(run: RunDirectory, classes: int) -> dict[str, float]:
    """Compressed bytes of the first shard: of a row's id, and of its logits per class that is kept."""
    folder = f"{logits_folder(_TEACHER)}/train"
    [first, *_] = run.names(folder, ".parquet")
    metadata = pq.read_metadata(f"{run.path(folder)}/{first}")
    sizes = {"example_id": 0, "logits": 0}
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        for column in (group.column(number) for number in range(group.num_columns)):
            sizes["example_id" if column.path_in_schema == "example_id" else "logits"] += column.total_compressed_size
    kept = classes if largest.is_dense(classes) else largest.KEPT
    name, rows = f"{classes:,} classes", metadata.num_rows
    return {
        f"{name}: an id": sizes["example_id"] / rows,
        f"{name}: a row's logits": sizes["logits"] / rows,
        f"{name}: a logit of {kept} kept": sizes["logits"] / rows / kept,
        f"{name}: a class": sizes["logits"] / rows / classes,
    }
