"""The feed: Ray Data reads shards beside their logits; rows leave as padded batches in the training order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray.data
from numpy.typing import NDArray

from raykd.artifacts import RunDirectory
from raykd.data.encoding import InputSpec
from raykd.data.order import Order, Part
from raykd.data.shards import Arrays, Shard, hash_ids, read_examples, read_table
from raykd.errors import InputError

FEED_CPUS = 0.25  # A read is short beside the training that it feeds; a lane asks for the rest of its core.

Visit = tuple[int, int]
"""Epoch, position of the shard."""


@dataclass(frozen=True)
class Reader:
    """Reads one shard with the logits of teachers; runs in a Ray Data task."""

    run: RunDirectory
    shards: tuple[Shard, ...]
    inputs: InputSpec
    logits: tuple[str, ...] = ()

    def read(self, position: int) -> Arrays:
        """The shard's arrays, as `read_examples` gives, and `teacher_logits` float16 [rows, teachers, classes].

        Raises: InputError when a logits file holds other ids.
        """
        shard = self.shards[position]
        arrays = read_examples(self.run, shard, self.inputs)
        if self.logits:
            arrays["teacher_logits"] = np.stack([self._logits_of(folder, shard) for folder in self.logits], axis=1)
        return arrays

    def all(self) -> Iterator[Arrays]:
        """Every shard in order, read in this process."""
        return (self.read(position) for position in range(len(self.shards)))

    def _logits_of(self, folder: str, shard: Shard) -> NDArray[np.float16]:
        path = f"{folder}/{shard.name}"
        table = read_table(self.run, path)
        found = hash_ids(table["example_id"].to_numpy())
        if found != shard.ids:
            raise InputError(
                f"{self.run.path(path)}: logits of ids {found[:12]}, expected ids {shard.ids[:12]} as in the "
                "examples; delete the file to have it scored again"
            )
        logits = table["logits"].combine_chunks()
        values: NDArray[np.float16] = logits.flatten().to_numpy(zero_copy_only=False).astype(np.float16)
        return values.reshape(shard.rows, -1)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """A Ray Data batch of one visit to the rows of its shard."""
        [epoch], [position] = batch["epoch"], batch["position"]
        arrays = self.read(int(position))
        rows = len(arrays["example_id"])
        return {"epoch": np.full(rows, epoch), "position": np.full(rows, position), **arrays}


def bytes_in_memory(manifest_rows: int, inputs: InputSpec, teachers: int, classes: int) -> int:
    """Bytes of so many rows as the feed holds them."""
    row = inputs.length * np.dtype(inputs.dtype).itemsize + 16 + 2 * teachers * classes
    return manifest_rows * row


class Feed:
    """Batches for one worker, of the streams `rank`, `rank + workers`, …

    Args: cached: keep every shard in memory after its first visit.
    """

    def __init__(self, reader: Reader, order: Order, *, cached: bool, rank: int = 0, workers: int = 1) -> None:
        self._reader = reader
        self._order = order
        self._cached = cached
        self._streams = range(rank, order.streams, workers)
        self._blocks: dict[Visit, Arrays] = {}

    @property
    def rows(self) -> int:
        """Rows of this worker's part of a global batch."""
        return self._order.rows_per_stream * len(self._streams)

    def batches(self, start: int, stop: int) -> Iterator[Arrays]:
        """This worker's part of global batches `start` to `stop` - 1, counted through all epochs.

        Yields: `inputs` [rows, length], `label` int32, `weight` float32 (0 in padding rows) and, with teachers,
        `teacher_logits` float16 [rows, teachers, classes]; rows = batch_size / workers.
        """
        steps = self._order.steps_per_epoch
        first = start // steps
        incoming = self._visit(range(first, first + 1 if self._cached else -(-stop // steps)))
        parts_of_steps = self._parts(first, incoming)
        for step in range(first * steps, stop):
            parts = next(parts_of_steps)
            if step >= start:
                yield self._join(step // steps, parts)
            self._forget(step // steps, parts)

    def _parts(self, epoch: int, incoming: Iterator[tuple[Visit, Arrays]]) -> Iterator[list[Part]]:
        while True:
            streams = [self._stream(epoch, stream, incoming) for stream in self._streams]
            yield from (list(parts) for parts in zip(*streams, strict=True))
            epoch += 1

    def _stream(self, epoch: int, stream: int, incoming: Iterator[tuple[Visit, Arrays]]) -> Iterator[Part]:
        return self._order.parts(epoch, stream, lambda position: self._block(epoch, position, incoming)["lengths"])

    def _key(self, epoch: int, position: int) -> Visit:
        return (0 if self._cached else epoch, position)

    def _block(self, epoch: int, position: int, incoming: Iterator[tuple[Visit, Arrays]]) -> Arrays:
        key = self._key(epoch, position)
        while key not in self._blocks:
            visit, arrays = next(incoming)
            self._blocks[self._key(*visit)] = {**arrays, "left": np.array(len(arrays["example_id"]))}
        return self._blocks[key]

    def _forget(self, epoch: int, parts: Sequence[Part]) -> None:
        """Drop blocks whose rows have all been used."""
        if self._cached:
            return
        for part in parts:
            for position, rows in zip(*np.unique(part[:, 0], return_counts=True), strict=True):
                key = (epoch, int(position))
                self._blocks[key]["left"] -= rows
                if not self._blocks[key]["left"]:
                    del self._blocks[key]

    def _visit(self, epochs: Sequence[int]) -> Iterator[tuple[Visit, Arrays]]:
        """Read shards through Ray Data, in the order in which the streams need them."""
        order = self._order
        wanted = [
            {"epoch": epoch, "position": position}
            for epoch in epochs
            for turn in zip(*(order.visits(epoch, stream) for stream in self._streams), strict=True)
            for position in turn
            if self._key(epoch, position) not in self._blocks
        ]  # fmt: skip
        if not wanted:
            return
        rows = ray.data.from_items(wanted, override_num_blocks=len(wanted)).map_batches(
            self._reader, batch_size=1, batch_format="numpy", num_cpus=FEED_CPUS, concurrency=1
        )
        rows.context.execution_options.preserve_order = True
        rows.context.target_max_block_size = 1 << 40  # A shard stays one block, whatever its size.
        for block in rows.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=2):
            yield (int(block.pop("epoch")[0]), int(block.pop("position")[0])), block

    def _join(self, epoch: int, parts: Sequence[Part]) -> Arrays:
        """One batch of the streams' parts, each padded to its full size with rows of weight 0."""
        size = self._order.rows_per_stream
        rows = size * len(parts)
        longest = max((int(part[:, 2].max()) for part in parts if len(part)), default=1)
        width = self._reader.inputs.width(longest)
        sample = next(iter(self._blocks.values()))
        batch: Arrays = {
            "inputs": np.zeros((rows, width), sample["inputs"].dtype),
            "label": np.full(rows, -1, np.int32),
            "weight": np.zeros(rows, np.float32),
        }
        if "teacher_logits" in sample:
            batch["teacher_logits"] = np.zeros((rows, *sample["teacher_logits"].shape[1:]), np.float16)
        for stream, part in enumerate(parts):
            start = stream * size
            for position in np.unique(part[:, 0]):
                block = self._blocks[self._key(epoch, int(position))]
                here = np.flatnonzero(part[:, 0] == position)
                source, target = part[here, 1], start + here
                batch["inputs"][target] = block["inputs"][source, :width]
                batch["label"][target] = block["label"][source]
                batch["weight"][target] = 1.0
                if "teacher_logits" in batch:
                    batch["teacher_logits"][target] = block["teacher_logits"][source]
        return batch
