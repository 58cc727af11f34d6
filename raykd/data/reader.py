"""Reads example shards beside the logits of teachers: in Ray Data tasks for the feed, or in the calling process."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raykd.artifacts import RunDirectory
from raykd.data import largest
from raykd.data.encoding import InputSpec
from raykd.data.shards import Arrays, Shard, read_aligned, read_shard, unpack

if TYPE_CHECKING:  # It loads scipy, which tasks that read for other trainings don't need.
    from raykd.data.selection import Selection


@dataclass(frozen=True)
class Reader:
    """Reads shards with the logits of teachers.

    Args: logits: folders of the teachers' logits; selection: weighs rows by these; None: all rows count alike.
    """

    run: RunDirectory
    shards: tuple[Shard, ...]
    inputs: InputSpec
    logits: tuple[str, ...] = ()
    selection: "Selection | None" = None

    def table(self, position: int) -> pa.Table:
        """A shard's rows: `example_id`, `label`, `inputs`, and `logits_0`, `logits_1`, ... of the teachers.

        Raises: InputError when a file holds other ids.
        """
        shard = self.shards[position]
        table = read_shard(self.run, shard)
        for teacher, folder in enumerate(self.logits):
            scored = read_aligned(self.run, folder, shard)
            table = table.append_column(f"logits_{teacher}", largest.column_of(scored))
        return table

    def arrays(self, table: pa.Table) -> Arrays:
        """Rows as `unpack` gives them, and `teacher_logits` [rows, teachers, `largest.width`] of their classes.

        With a selection also `weight` float32 [rows], and `label` as it says.
        """
        arrays = unpack(table, self.inputs)
        if self.logits:
            teachers = [largest.matrix_of(table[f"logits_{teacher}"]) for teacher in range(len(self.logits))]
            arrays["teacher_logits"] = np.stack(teachers, axis=1)
        if self.selection is not None:
            arrays["label"], arrays["weight"] = self.selection(arrays["label"], arrays["teacher_logits"])
        return arrays

    def all(self) -> Iterator[Arrays]:
        """Every shard in order, read in this process, with `example_id` too."""
        for position in range(len(self.shards)):
            yield self.read(position)

    def ahead(self, positions: Sequence[int]) -> Iterator[tuple[int, Arrays]]:
        """Each of these shards with its position, the next one read while the caller uses the last."""
        with ThreadPoolExecutor(1) as other:
            coming = [other.submit(self.read, position) for position in positions[:1]]
            for index, position in enumerate(positions):
                arrays = coming.pop().result()
                coming += [other.submit(self.read, following) for following in positions[index + 1 : index + 2]]
                yield position, arrays

    def read(self, position: int) -> Arrays:
        """One shard, read in this process, with `example_id` too. Raises: InputError as `table` does."""
        table = self.table(position)
        return {"example_id": table["example_id"].to_numpy(), **self.arrays(table)}

    def __call__(self, visits: pa.Table) -> Iterator[pa.Table]:
        """A Ray Data batch of visits to the rows of their shards, a shard at a time."""
        for visit in visits.to_pylist():
            # Rows travel as they are stored, unpadded.
            table = self.table(visit["position"]).drop_columns("example_id")
            for name, value in visit.items():
                table = table.append_column(name, pa.array(np.full(len(table), value)))
            yield table
