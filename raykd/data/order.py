"""Which rows make global batch k of epoch e: a pure function of (seed, e, k), whatever the number of workers.

Rows flow through a fixed number of streams. A stream owns every `streams`-th shard, visits its shards in an
order seeded per epoch and gives an equal part of every batch. Within a window of batches its rows are
shuffled and grouped by length, so that a batch pads little.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raykd.data.shards import Shard

WINDOW_BATCHES = 16
_VISITS, _ROWS, _GROUPS = 1, 2, 3  # Each kind of draw has a seed of its own.

Part = NDArray[np.int64]
"""[rows, 3]: position of the shard, row in it, length of the row."""


@dataclass(frozen=True)
class Order:
    """The order of rows in training; `batch_size` counts the rows of a global batch."""

    shards: tuple[Shard, ...]
    streams: int
    batch_size: int
    seed: int

    @property
    def rows_per_stream(self) -> int:
        """Rows that each stream gives to one global batch."""
        return self.batch_size // self.streams

    @property
    def steps_per_epoch(self) -> int:
        """Steps until the fullest stream is empty; others end short, and no row is dropped."""
        rows = [sum(shard.rows for shard in self.shards[stream :: self.streams]) for stream in range(self.streams)]
        return -(-max(rows) // self.rows_per_stream)

    def visits(self, epoch: int, stream: int) -> list[int]:
        """Positions in `shards` that the stream visits in this epoch, in order."""
        own = np.arange(stream, len(self.shards), self.streams)
        return [int(position) for position in self._rng(_VISITS, epoch, stream).permutation(own)]

    def parts(self, epoch: int, stream: int, lengths_of: Callable[[int], NDArray[np.int32]]) -> Iterator[Part]:
        """The stream's part of each batch of the epoch, `steps_per_epoch` of them; the last may be short or empty.

        Args: lengths_of: gives the lengths of a shard's rows; called once per visit, in the order of `visits`.
        """
        rng = self._rng(_ROWS, epoch, stream)
        window_rows = WINDOW_BATCHES * self.rows_per_stream
        visits = iter(self.visits(epoch, stream))
        held = np.empty((0, 3), np.int64)
        for window in range(-(-self.steps_per_epoch // WINDOW_BATCHES)):
            while len(held) < window_rows and (position := next(visits, None)) is not None:
                lengths = lengths_of(position)
                rows = rng.permutation(len(lengths))
                held = np.concatenate([held, np.stack([np.full_like(rows, position), rows, lengths[rows]], axis=1)])
            yield from self._groups(held[:window_rows], epoch, window)
            held = held[window_rows:]

    def _groups(self, rows: Part, epoch: int, window: int) -> Iterator[Part]:
        """The window's rows cut into parts of like length, in an order that all streams share."""
        rows = rows[np.argsort(rows[:, 2], kind="stable")]
        left = self.steps_per_epoch - window * WINDOW_BATCHES
        groups = min(left, WINDOW_BATCHES)
        movable = groups - 1 if left == groups else groups  # The epoch's short part stays last.
        for group in [*self._rng(_GROUPS, epoch, window).permutation(movable), *range(movable, groups)]:
            yield rows[group * self.rows_per_stream : (group + 1) * self.rows_per_stream]

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])
