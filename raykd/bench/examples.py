"""Example shards made up for measuring: token ids, or numbers, drawn with a seed."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykd.artifacts import EXAMPLES, RunDirectory
from raykd.data.encoding import CLS_ID, SEP_ID, InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, write_table

VOCABULARY = 8000


def write_examples(run: RunDirectory, rows: dict[str, int], length: int, shards: int, seed: int = 0) -> Manifest:
    """Pairs of equal length with coin-flip labels, dealt to at most `shards` shards per split.

    Args: rows: by split. Returns: the manifest, which is published too.
    """
    rng = np.random.default_rng(seed)

    def pairs(count: int) -> pa.ListArray:
        tokens = rng.integers(SEP_ID + 1, VOCABULARY, (count, length), dtype=np.int32)
        tokens[:, 0] = CLS_ID
        tokens[:, length // 4] = tokens[:, -1] = SEP_ID
        return _lists(tokens)

    inputs = InputSpec("tokens", length, "int32", VOCABULARY, bucket=length)
    return _write(run, rows, shards, inputs, 2, pairs, rng)


def write_features(
    run: RunDirectory, rows: Mapping[str, int], length: int, classes: int, shards: int, seed: int = 0
) -> Manifest:
    """As `write_examples`: rows of `length` numbers from 0 to 255, as those of grey images, and labels of `classes`."""
    rng = np.random.default_rng(seed)

    def images(count: int) -> pa.FixedSizeListArray:
        return pa.FixedSizeListArray.from_arrays(rng.integers(0, 256, count * length, dtype=np.uint8), length)

    return _write(run, rows, shards, InputSpec("features", length, "uint8"), classes, images, rng)


def _write(
    run: RunDirectory,
    rows: Mapping[str, int],
    shards: int,
    inputs: InputSpec,
    classes: int,
    drawn: Callable[[int], Any],
    rng: np.random.Generator,
) -> Manifest:
    """Deal rows to shards. Args: drawn: gives so many rows' inputs."""
    written, start = [], 0
    for split, count in rows.items():
        for index, ids in enumerate(np.array_split(np.arange(start, start + count), min(shards, count))):
            values = drawn(len(ids))
            shard = Shard(split, index, len(ids), hash_ids(ids))
            labels = rng.integers(0, classes, len(ids), dtype=np.int32)
            write_table(run, f"{EXAMPLES}/{shard.name}", {"example_id": ids, "label": labels, "inputs": values})
            written.append(shard)
        start += count
    manifest = Manifest(classes, inputs, tuple(written))
    manifest.save(run)
    return manifest


def _lists(matrix: NDArray[np.int32]) -> pa.ListArray:
    rows, length = matrix.shape
    return pa.ListArray.from_arrays(np.arange(0, rows * length + 1, length, dtype=np.int32), matrix.ravel())
