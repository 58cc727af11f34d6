"""Which rows make global batch k of epoch e: a pure function of (seed, e, k), whatever the number of workers.

Rows flow through a fixed number of streams. A stream owns every `streams`-th shard, visits its shards in an
order seeded per epoch and gives an equal part of every batch. Within a window of batches its rows are
shuffled and grouped by length, so that a batch pads little.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from raykd.data.draws import splitmix
from raykd.data.shards import Shard

WINDOW_BATCHES = 16
_VISITS, _ROWS, _GROUPS, _KEYS = 1, 2, 3, 4  # Each kind of draw has a seed of its own.

Window = NDArray[np.int64]
"""[batches, rows, 3]: position of the shard or `PADDING`, row in it, length of the row."""

PADDING = -1


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

    @cached_property
    def steps_per_epoch(self) -> int:
        """Steps until the fullest stream is empty; others end short, and no row is dropped."""
        rows = [sum(shard.rows for shard in self.shards[stream :: self.streams]) for stream in range(self.streams)]
        return -(-max(rows) // self.rows_per_stream)

    def visits(self, epoch: int, stream: int) -> list[int]:
        """Positions in `shards` that the stream visits in this epoch, in order."""
        own = np.arange(stream, len(self.shards), self.streams)
        return [int(position) for position in self._rng(_VISITS, epoch, stream).permutation(own)]

    def windows(self, epoch: int, stream: int, lengths_of: Callable[[int], NDArray[np.int32]]) -> Iterator[Window]:
        """The stream's part of the epoch's batches, a window at a time, `steps_per_epoch` batches in all.

        Args: lengths_of: gives the lengths of a shard's rows; called once per visit, in the order of `visits`.
        """
        rng = self._rng(_ROWS, epoch, stream)
        window_rows = WINDOW_BATCHES * self.rows_per_stream
        visits = iter(self.visits(epoch, stream))
        held = np.empty((0, 3), np.int64)
        for window in range(-(-self.steps_per_epoch // WINDOW_BATCHES)):
            pieces, rows = [held], len(held)
            while rows < window_rows and (position := next(visits, None)) is not None:
                lengths = lengths_of(position)
                order = rng.permutation(len(lengths))
                pieces.append(np.stack([np.full_like(order, position), order, lengths[order]], axis=1))
                rows += len(order)
            held = np.concatenate(pieces)
            yield self._grouped(held[:window_rows], epoch, window)
            held = held[window_rows:]

    def keys(self, epoch: int, window: Window) -> NDArray[np.uint64]:
        """The state of each row's own generator (see `raykd.data.draws`) in this epoch, with the window's axes but one.

        It depends on where the row stands in the shards, not on where in a batch or in which worker.
        """
        [start] = np.random.SeedSequence([self.seed, _KEYS, epoch]).generate_state(1, np.uint64)
        return splitmix(start, (window[..., 0] << 32 | window[..., 1]).astype(np.uint64))

    def _grouped(self, rows: NDArray[np.int64], epoch: int, window: int) -> Window:
        """The window's rows cut into parts of like length, in an order that all streams share."""
        left = self.steps_per_epoch - window * WINDOW_BATCHES
        groups = min(left, WINDOW_BATCHES)
        size = groups * self.rows_per_stream
        by_length = np.argsort(rows[:, 2], kind="stable")
        if len(rows) < size:
            rows = np.concatenate([rows, np.full((size - len(rows), 3), (PADDING, 0, 0))])
            by_length = np.concatenate([by_length, np.arange(len(by_length), size)])
        movable = groups - 1 if left == groups else groups  # The epoch's short part stays last.
        turns = _turns(self.seed, epoch, window, movable, groups)
        return rows[by_length.reshape(groups, self.rows_per_stream)[turns]]

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])


@lru_cache(maxsize=4)
def _turns(seed: int, epoch: int, window: int, movable: int, groups: int) -> list[int]:
    """The order in which a window's parts come: the first `movable` shuffled."""
    shuffled = np.random.default_rng([seed, _GROUPS, epoch, window]).permutation(movable)
    return [*shuffled.tolist(), *range(movable, groups)]
