"""Shards read by Ray Data in the order in which the feed visits them, some portions ahead of the reader.

Each portion is a Ray Data execution of its own, which runs to its end undisturbed. One execution over all visits would
have to be held back while training lags behind, and while Ray Data holds back its scheduler spins: it would take a
core from the training (Ray 2.60).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data

from raykd.data.failures import one_line_errors
from raykd.data.reader import Reader
from raykd.data.shards import Arrays

# Of a portion: what it costs to start reading one would show in less, and what waits in the object store takes memory
# and is read again when a node dies.
_LARGEST_BYTES = 24 << 20
_BLOCK_BYTES = 4 << 20  # that a task hands over while it reads on
_AHEAD = 1  # portions that are read while another is used
_NODE_LABEL = "ray.io/node-id"  # that Ray gives every node

Visit = tuple[int, int]
"""Epoch, position of the shard."""


def read_visits(
    reader: Reader, visits: Sequence[Visit], row_bytes: int, tasks: int, turn: int
) -> Iterator[tuple[Visit, Arrays]]:
    """Every visit with its shard's rows, in order; the first portion is on its way when this returns.

    Args: row_bytes: memory for one row; tasks: that read side by side; turn: visits that the first batch needs.
    Raises: InputError when a file is missing, damaged or holds other ids than it should.
    """
    sizes = [reader.shards[position].rows * row_bytes for _, position in visits]
    parts = [visits[begin:end] for begin, end in pairwise(portions(sizes, turn, _LARGEST_BYTES))]
    pool = ThreadPoolExecutor(_AHEAD)
    return _in_order(reader, parts[1:], tasks, pool, pool.submit(_read, reader, parts[0], tasks))


def _in_order(
    reader: Reader,
    later: Sequence[Sequence[Visit]],
    tasks: int,
    pool: ThreadPoolExecutor,
    first: Future[list[Any]],
) -> Iterator[tuple[Visit, Arrays]]:
    begun: list[pa.Table] = []  # Rows of a shard whose rest is in the next block.
    coming, following = deque([first]), iter(later)
    with pool:
        while coming:
            blocks = coming.popleft().result()
            for part in islice(following, _AHEAD - len(coming)):
                coming.append(pool.submit(_read, reader, part, tasks))
            while blocks:
                for visit, rows in _visits_in(ray.get(blocks.pop(0))):
                    begun.append(rows)
                    if sum(map(len, begun)) == reader.shards[visit[1]].rows:
                        yield visit, reader.arrays(pa.concat_tables(begun))
                        begun = []


def portions(sizes: Sequence[int], first: int, largest: int) -> list[int]:
    """Bounds that cut things of these sizes into portions, the first of so many things.

    Returns: 0, and the end of every portion; none is empty, and no later one exceeds `largest` unless one thing does.
    """
    bounds, size = [0, min(first, len(sizes))], 0
    for end, one in enumerate(sizes[first:], first):
        if size and size + one > largest:
            bounds.append(end)
            size = 0
        size += one
    return [*bounds, len(sizes)] if len(sizes) > first else bounds


def _read(reader: Reader, visits: Sequence[Visit], tasks: int) -> list[Any]:
    """References to the visits' rows, block by block in order."""
    items = [{"epoch": epoch, "position": position} for epoch, position in visits]
    # A read is short beside the training that it feeds, on the same cores. It asks for none: were they all held by
    # trainings, of this job or another, these would wait for rows for ever.
    here = {_NODE_LABEL: ray.get_runtime_context().get_node_id()}
    rows = ray.data.from_items(items, override_num_blocks=min(tasks, len(items))).map_batches(
        reader, batch_size=None, batch_format="pyarrow", num_cpus=0, concurrency=tasks, label_selector=here
    )
    rows.context.execution_options.preserve_order = True
    rows.context.target_max_block_size = _BLOCK_BYTES
    # With its reservations Ray Data would hold back even so little.
    rows.context.op_resource_reservation_enabled = False
    # Unlike a materialised data set, which its own plan refers to, this leaves nothing behind but the references.
    with one_line_errors(rows.context):
        return [entry.ref for bundle in rows.iter_internal_ref_bundles() for entry in bundle.blocks]


def _visits_in(block: pa.Table) -> Iterator[tuple[Visit, pa.Table]]:
    """Cut a block into the visits that it consists of."""
    epochs, positions = (block[name].to_numpy() for name in ("epoch", "position"))
    begins = np.flatnonzero(np.diff(epochs, prepend=-1) | np.diff(positions, prepend=-1))
    for begin, end in pairwise([*begins.tolist(), len(block)]):
        yield (int(epochs[begin]), int(positions[begin])), block.slice(begin, end - begin)
