"""Rows of the shards that are in use, side by side in memory, so that a window of batches is one gather.

Readers: the feed. Columns are those of `Reader.arrays`, with `weight`; row 0 is padding.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.data.shards import Arrays

PADDING_ROW = 0
_ALIGNMENT = 64  # bytes; TensorFlow takes an aligned array as it is, and copies any other.


class Store:
    """Holds shards in places of equal size; room doubles when it is needed.

    Args: place_rows: rows of the largest shard; places: shards expected at a time. Room that is never used costs
    nothing, room that has to grow costs a copy of what is there.
    """

    def __init__(self, place_rows: int, places: int) -> None:
        self._place_rows = place_rows
        self._places = places
        self._columns: Arrays = {}
        self._free: list[int] = []
        self._buffers = Buffers()

    def add(self, arrays: Arrays) -> int:
        """Copy a shard in. Returns: where its first row stands."""
        rows = len(arrays["label"])
        arrays = {"weight": np.ones(rows, np.float32), **arrays}
        if not self._free:
            self._grow(arrays)
        first = self._free.pop()
        for name, column in self._columns.items():
            column[first : first + rows] = arrays[name]
        return first

    def drop(self, first: int) -> None:
        """Give the shard's place to another."""
        self._free.append(first)

    def gather(self, rows: NDArray[np.int64]) -> Arrays:
        """The columns' values in these rows, with the shape of `rows` first."""
        return {name: self._buffers.take(column, rows) for name, column in self._columns.items()}

    def _grow(self, sample: Arrays) -> None:
        """Make room for the places expected, or double it."""
        held = len(next(iter(self._columns.values()))) if self._columns else 1
        total = held + max(self._places, (held - 1) // self._place_rows) * self._place_rows
        for name, values in sample.items():
            column = np.zeros((total, *values.shape[1:]), values.dtype)
            if name in self._columns:
                column[:held] = self._columns[name]
            elif name == "label":
                column[PADDING_ROW] = -1
            self._columns[name] = column
        self._free.extend(range(held, total, self._place_rows))


class Buffers:
    """Memory for results, used again when nothing refers to the last result any more.

    A fresh array of a megabyte costs more in page faults than its copy.
    """

    def __init__(self) -> None:
        self._buffers: list[NDArray[np.uint8]] = []

    def take(self, source: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        """`source[rows]`, in a buffer."""
        shape = (*rows.shape, *source.shape[1:])
        out = self._free(int(np.prod(shape)) * source.itemsize).view(source.dtype).reshape(shape)
        return np.take(source, rows, axis=0, out=out, mode="clip")  # Any other mode buffers `out`.

    def _free(self, size: int) -> NDArray[np.uint8]:
        needed = size + _ALIGNMENT
        for index in range(len(self._buffers)):
            # Every view refers to the memory itself. Two references: the list's, and getrefcount's argument.
            if len(self._buffers[index]) >= needed and sys.getrefcount(self._buffers[index]) == 2:
                return _aligned(self._buffers[index], size)
        self._buffers.append(np.empty(needed, np.uint8))
        return _aligned(self._buffers[-1], size)


def _aligned(memory: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    skipped = -memory.ctypes.data % _ALIGNMENT
    return memory[skipped : skipped + size]
