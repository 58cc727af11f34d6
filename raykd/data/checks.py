"""Bad rows: put aside with the reason, and counted; more than are allowed stop the run.

Readers: sources, whose tasks find them, and ingestion and prediction, which settle how many there may be.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from raykd.artifacts import RunDirectory
from raykd.data.shards import read_table, write_table
from raykd.errors import InputError

QUARANTINE = "quarantine"


@dataclass(frozen=True)
class BadRow:
    """A row that can't be used: file, number in the file (None where a file is a row), why, and its text if it has no
    columns.
    """

    file: str
    row: int | None
    reason: str
    text: str = ""

    def line(self) -> str:
        """For an error message: where, what is wrong with it and the remedy."""
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.reason}"


@dataclass(frozen=True)
class Quarantine:
    """The folder of a run's bad rows: `quarantine/`, Parquet files with `file`, `row`, `reason`, `text` and, where they
    could be read, the row's own columns.
    """

    run: RunDirectory

    def clear(self) -> None:
        """Forget the bad rows of an earlier attempt."""
        self.run.delete_folder(QUARANTINE)

    def put(self, name: str, bad: Sequence[BadRow], columns: pa.Table | None = None) -> None:
        """Publish bad rows under a name that the same rows always have: a task that is tried again writes them anew.

        Args: columns: of the rows, if they could be read.
        """
        if not bad:
            return
        told = {key: [getattr(row, key) for row in bad] for key in ("file", "row", "reason", "text")}
        told["row"] = pa.array(told["row"], pa.int64())
        own = {} if columns is None else {f"found_{key}": columns[key] for key in columns.column_names}
        write_table(self.run, f"{QUARANTINE}/{name}.parquet", {**told, **own})

    def settle(self, good: int, allowed: float, source: str) -> int:
        """See that no more rows are bad than are allowed. Args: good: other rows; allowed: share of all rows.

        Returns: bad rows. Raises: InputError with the first of them and their number; or when no row is left.
        """
        names = self.run.names(QUARANTINE, ".parquet")
        counts = [self._rows(name) for name in names]
        bad = sum(counts)
        if bad > allowed * (bad + good):
            raise InputError(f"{self._first(names[0]).line()} ({self._how_many(bad, good)} allows {allowed:g})")
        if not good:
            raise InputError(f"data.source: {source}: found no row, expected some; fill it or name another")
        return bad

    def _how_many(self, bad: int, good: int) -> str:
        verb = "is" if bad == 1 else "are"
        return f"{bad} of {bad + good} rows {verb} bad, see {self.run.path(QUARANTINE)}; data.max_bad_fraction"

    def _rows(self, name: str) -> int:
        with self.run.filesystem.open_input_file(self.run.path(QUARANTINE, name)) as file:
            rows: int = pq.read_metadata(file).num_rows
        return rows

    def _first(self, name: str) -> BadRow:
        [row] = read_table(self.run, f"{QUARANTINE}/{name}").select(["file", "row", "reason"]).slice(0, 1).to_pylist()
        return BadRow(**row)
