"""Rows that are gone through several times: by validation after every epoch, by every model of an evaluation."""

from collections.abc import Iterator

import numpy as np

from raykd.data.feed import bytes_per_row
from raykd.data.reader import Reader
from raykd.data.shards import Arrays

_KEPT_BYTES = 256 << 20  # of rows; more are read anew each time, shard by shard


class Portions:
    """Rows of some shards in order, in portions that fit in memory: all at once where they are few.

    Args: classes: of the teachers' logits that the reader reads.
    """

    def __init__(self, reader: Reader, classes: int) -> None:
        self._reader = reader
        size = sum(shard.rows for shard in reader.shards) * bytes_per_row(reader.inputs, len(reader.logits), classes)
        # Together they give larger batches of like length than each shard's own.
        self._kept = [_joined(list(reader.all()))] if reader.shards and size <= _KEPT_BYTES else None

    def __iter__(self) -> Iterator[Arrays]:
        return iter(self._kept) if self._kept is not None else self._reader.all()

    def without_inputs(self) -> Arrays:
        """What all rows have beside their inputs. Raises: ValueError where there are no shards."""
        return _joined([{name: part[name] for name in part if name != "inputs"} for part in self])


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
