"""Example shards made up for measuring: token ids drawn with a seed."""

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
    written, start = [], 0
    for split, count in rows.items():
        for index, ids in enumerate(np.array_split(np.arange(start, start + count), min(shards, count))):
            tokens = rng.integers(SEP_ID + 1, VOCABULARY, (len(ids), length), dtype=np.int32)
            tokens[:, 0] = CLS_ID
            tokens[:, length // 4] = tokens[:, -1] = SEP_ID
            shard = Shard(split, index, len(ids), hash_ids(ids))
            labels = rng.integers(0, 2, len(ids), dtype=np.int32)
            write_table(run, f"{EXAMPLES}/{shard.name}", {"example_id": ids, "label": labels, "inputs": _lists(tokens)})
            written.append(shard)
        start += count
    manifest = Manifest(2, InputSpec("tokens", length, "int32", VOCABULARY, bucket=length), tuple(written))
    manifest.save(run)
    return manifest


def _lists(matrix: NDArray[np.int32]) -> pa.ListArray:
    rows, length = matrix.shape
    return pa.ListArray.from_arrays(np.arange(0, rows * length + 1, length, dtype=np.int32), matrix.ravel())
