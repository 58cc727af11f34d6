"""Rows that are gone through several times: by validation after every epoch, by every model of an evaluation."""

from collections.abc import Iterator

import numpy as np

from raykd.data.feed import bytes_per_row
from raykd.data.reader import Reader
from raykd.data.shards import Arrays

_KEPT_BYTES = 256 << 20  # of rows and what is predicted of them; more are read anew each time, shard by shard
_BYTES_PREDICTED = 8  # a probability


class Portions:
    """Rows of some shards in order, in portions that fit in memory: all at once where they are few.

    Args: classes: of the models and of the teachers' logits that the reader reads; heads: of the models, at most.
    """

    def __init__(self, reader: Reader, classes: int, heads: int = 1) -> None:
        self._reader = reader
        row = bytes_per_row(reader.inputs, len(reader.logits), classes) + heads * classes * _BYTES_PREDICTED
        self._rows = max(1, _KEPT_BYTES // row)
        few = sum(shard.rows for shard in reader.shards) <= self._rows
        # Together they give larger batches of like length than each shard's own.
        self._kept = [_joined(list(reader.all()))] if reader.shards and few else None

    def __iter__(self) -> Iterator[Arrays]:
        if self._kept is not None:
            yield from self._kept
            return
        for part in self._reader.all():
            for start in range(0, len(part["label"]), self._rows):
                yield {name: values[start : start + self._rows] for name, values in part.items()}

    def without_inputs(self) -> Arrays:
        """What all rows have beside their inputs. Raises: ValueError where there are no shards."""
        return _joined([{name: part[name] for name in part if name != "inputs"} for part in self])


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
