"""The feed: Ray Data reads shards beside their logits; rows leave as padded batches in the training order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from raykd.data import largest
from raykd.data.encoding import InputSpec
from raykd.data.order import PADDING, Order, Window
from raykd.data.reader import Reader
from raykd.data.shards import Arrays
from raykd.data.store import Store
from raykd.data.visits import Visit, read_visits
from raykd.errors import InputError

_SHARDS_PER_STREAM = 2  # in use at a time


def bytes_per_row(inputs: InputSpec, teachers: int, classes: int) -> int:
    """Memory that the feed needs for one row."""
    logits = largest.width(classes) * np.dtype(largest.dtype(classes)).itemsize
    return inputs.length * np.dtype(inputs.dtype).itemsize + 16 + teachers * logits


class Feed:
    """Batches for one worker, of the streams `rank`, `rank + workers`, …

    Args: row_bytes: memory for one row; cached: keep every shard in memory after its first visit; tasks: Ray Data
    tasks that read side by side, or 0 to read in the calling process; keyed: give every row a key for its own draws.
    """

    def __init__(
        self,
        reader: Reader,
        order: Order,
        *,
        row_bytes: int,
        cached: bool,
        tasks: int = 1,
        rank: int = 0,
        workers: int = 1,
        keyed: bool = False,
    ) -> None:
        self._reader = reader
        self._order = order
        self._row_bytes = row_bytes
        self._tasks = tasks
        self._cached = cached
        self._keyed = keyed
        self._streams = range(rank, order.streams, workers)
        # A stream may begin a shard before the batches have used up the last one.
        places = -(-len(reader.shards) // workers) if cached else _SHARDS_PER_STREAM * len(self._streams)
        self._store = Store(max(shard.rows for shard in reader.shards), places)
        self._blocks: dict[Visit, _Block] = {}
        self.failure: InputError | None = None

    @property
    def rows(self) -> int:
        """Rows of this worker's part of a global batch."""
        return self._order.rows_per_stream * len(self._streams)

    def windows(self, start: int, stop: int) -> Iterator[Arrays]:
        """This worker's part of global batches `start` to `stop` - 1, counted through all epochs; up to 16 at a time.

        The first rows are on their way when this returns.
        Yields: `inputs` [batches, rows, length], `label` int32, `weight` float32 (0 in padding rows, else 1 or what the
        reader says); for tokens `width` int32 [batches]: how much of the length the batch fills; with teachers
        `teacher_logits` [batches, rows, teachers, `largest.width`]; if keyed `key` uint64 (`Order.keys`).
        rows = batch_size / workers.
        Raises: InputError, kept as `failure`, when a file is missing or damaged.
        """
        steps = self._order.steps_per_epoch
        epochs = range(start // steps, start // steps + 1 if self._cached else -(-stop // steps))
        return self._noting_failure(self._windows(start, stop, self._visit(epochs)))

    def _noting_failure(self, windows: Iterator[Arrays]) -> Iterator[Arrays]:
        """Keep what ends the windows: TensorFlow, between here and the training, makes another error of it."""
        try:
            yield from windows
        except InputError as error:
            self.failure = error
            raise

    def _windows(self, start: int, stop: int, incoming: Iterator[tuple[Visit, Arrays]]) -> Iterator[Arrays]:
        steps = self._order.steps_per_epoch
        for epoch in range(start // steps, -(-stop // steps)):
            first = epoch * steps
            streams = [self._stream(epoch, stream, incoming) for stream in self._streams]
            for parts in zip(*streams, strict=True):
                window = np.stack(parts, axis=1)
                last = first + len(window)
                if last > start and first < stop:
                    yield self._gather(epoch, window[max(start - first, 0) : stop - first])
                self._forget(epoch, window[..., 0])
                first = last
                if first >= stop:
                    return

    def _stream(self, epoch: int, stream: int, incoming: Iterator[tuple[Visit, Arrays]]) -> Iterator[Window]:
        return self._order.windows(epoch, stream, lambda position: self._block(epoch, position, incoming).lengths)

    def _key(self, epoch: int, position: int) -> Visit:
        return (0 if self._cached else epoch, position)

    def _block(self, epoch: int, position: int, incoming: Iterator[tuple[Visit, Arrays]]) -> "_Block":
        key = self._key(epoch, position)
        while key not in self._blocks:
            visit, arrays = next(incoming)
            lengths = arrays.pop("lengths")
            self._blocks[self._key(*visit)] = _Block(self._store.add(arrays), lengths, len(lengths))
        return self._blocks[key]

    def _gather(self, epoch: int, window: NDArray[np.int64]) -> Arrays:
        """Rows of some batches [batches, streams, rows, 3], the streams' parts one after the other."""
        positions, rows, lengths = (window[..., i].reshape(len(window), -1) for i in range(3))
        firsts = np.zeros(len(self._reader.shards) + 1, np.int64)  # The last one is that of PADDING.
        for position in np.flatnonzero(self._rows_of(positions)):
            firsts[position] = self._blocks[self._key(epoch, int(position))].first
        arrays = self._store.gather(firsts[positions] + rows)
        if self._keyed:
            arrays["key"] = self._order.keys(epoch, window).reshape(positions.shape)
        if self._reader.inputs.kind != "tokens":
            return arrays
        widths = [self._reader.inputs.width(max(1, int(longest))) for longest in lengths.max(axis=1)]
        return {**arrays, "width": np.array(widths, np.int32)}

    def _rows_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows of each shard are among these, without the padding."""
        return np.bincount(positions.ravel() - PADDING, minlength=len(self._reader.shards) + 1)[1:]

    def _forget(self, epoch: int, positions: NDArray[np.int64]) -> None:
        """Drop blocks whose rows have all been used."""
        if self._cached:
            return
        rows = self._rows_of(positions)
        for position in np.flatnonzero(rows):
            key = (epoch, int(position))
            block = self._blocks[key]
            block.left -= int(rows[position])
            if not block.left:
                self._store.drop(block.first)
                del self._blocks[key]

    def _visit(self, epochs: Sequence[int]) -> Iterator[tuple[Visit, Arrays]]:
        """Read shards through Ray Data, in the order in which the streams need them."""
        order = self._order
        wanted = [
            (epoch, position)
            for epoch in epochs
            for turn in zip_longest(*(order.visits(epoch, stream) for stream in self._streams))
            for position in turn
            if position is not None and self._key(epoch, position) not in self._blocks
        ]  # fmt: skip
        if not wanted:
            return iter(())
        if not self._tasks:
            return ((visit, self._reader.arrays(self._reader.table(visit[1]))) for visit in wanted)
        return read_visits(self._reader, wanted, self._row_bytes, self._tasks, len(self._streams))


@dataclass
class _Block:
    """A shard in the store: its first row there, its rows' lengths, and how many of them are still to come."""

    first: int
    lengths: NDArray[np.int32]
    left: int
