"""Rows as a source's files have them, turned into the common columns; bad ones are put aside."""

import posixpath
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import fs

from raykd.config import DataConfig
from raykd.data import external, groups
from raykd.data.checks import BadRow, Quarantine
from raykd.data.sources.images import LABEL, PIXELS, decode_column
from raykd.data.sources.labels import Labels
from raykd.data.sources.pieces import Chunk, Piece, inputs_of, is_text
from raykd.errors import InputError

Problems = dict[int, str]
"""What is wrong with rows, by their place in a chunk; the first thing that was found."""


@dataclass(frozen=True)
class Rows:
    """Makes the common columns of a chunk.

    Args: numbers: length of the features, 0 for texts; images: whether files are images, not tables; labelled: whether
    labels and scores are read.
    """

    data: DataConfig
    labels: Labels
    filesystem: fs.FileSystem
    quarantine: Quarantine
    numbers: int
    images: bool = False
    labelled: bool = True

    def __call__(self, chunk: Chunk, piece: Piece) -> pa.Table:
        """The good rows: `example_id`, `label`, inputs, and what else there is.

        Raises: InputError naming file and column for a type that doesn't fit.
        """
        problems: Problems = {}
        columns: dict[str, Any] = {"example_id": self._ids(chunk, piece, problems)}
        columns.update(self._inputs(chunk, piece, problems))
        if self.labelled:
            columns["label"] = self._labels(chunk, piece, problems)
            columns.update(self._scores(chunk, piece, problems))
            columns.update(self._groups(chunk, piece, problems))
        if piece.split:
            columns["split"] = pa.array([piece.split] * len(chunk.table), pa.string())
        self._put_aside(chunk, piece, problems)
        common = pa.table(columns)
        if not problems:
            return common
        good = np.ones(len(common), bool)
        good[list(problems)] = False
        return common.filter(pa.array(good))

    def _ids(self, chunk: Chunk, piece: Piece, problems: Problems) -> pa.Array:
        name = self.data.columns.id
        if name is None:
            return pa.array(piece.first_id + chunk.rows - piece.first_row)
        column = chunk.table[name]
        if not pa.types.is_integer(column.type):
            raise _mistyped(piece, f"column {name} holds {column.type}, expected unique integers; convert the column")
        _note(problems, column.is_null(), f"column {name}: found null, expected an integer; fix the row")
        return column.fill_null(0).cast(pa.int64())

    def _inputs(self, chunk: Chunk, piece: Piece, problems: Problems) -> dict[str, Any]:
        if self.images:
            return {"features": chunk.table[PIXELS]}
        columns = self.data.columns
        wanted = inputs_of(self.data)
        if columns.image is not None:
            return {"features": self._decoded(chunk, piece, problems)}
        if columns.text is not None:
            return {f"text_{i}": _texts(chunk.table[name], name, piece, problems) for i, name in enumerate(wanted)}
        if isinstance(columns.features, str):
            return {"features": _lists(chunk.table[wanted[0]], wanted[0], self.numbers, piece, problems)}
        return {"features": _side_by_side(chunk.table.select(wanted), piece, problems)}

    def _decoded(self, chunk: Chunk, piece: Piece, problems: Problems) -> pa.Array:
        [name] = inputs_of(self.data)
        folder = posixpath.dirname(piece.files[0])
        try:
            images, wrong = decode_column(chunk.table[name], self.data.image, self.filesystem, folder)
        except InputError as error:
            raise _mistyped(piece, f"column {name}: {error}") from error
        for row, reason in wrong.items():
            problems.setdefault(row, f"column {name}: {reason}")
        return images

    def _labels(self, chunk: Chunk, piece: Piece, problems: Problems) -> pa.Array:
        name = LABEL if self.images else self.data.columns.label
        if name not in chunk.table.column_names:
            return self.labels.unknown(len(chunk.table))
        try:
            found, wrong = self.labels.read(chunk.table[name])
        except TypeError as error:
            raise _mistyped(piece, str(error)) from error
        for row, reason in wrong.items():
            problems.setdefault(row, reason)
        return found

    def _scores(self, chunk: Chunk, piece: Piece, problems: Problems) -> dict[str, pa.Array]:
        found = {}
        for teacher, score in self.data.columns.external.items():
            rows = len(chunk.table)
            found[external.logits_name(teacher)] = external.unscored(rows)
            if score.column not in chunk.table.column_names:
                continue
            column = chunk.table[score.column]
            wrong = dict(external.wrong_rows(column, score)) if external.is_numeric(column.type) else {}
            for row, reason in wrong.items():
                problems.setdefault(row, f"column {score.column}: {reason}")
            good = np.setdiff1d(np.arange(rows), list(wrong))
            if len(good):
                logits = external.logits_of(column.take(pa.array(good)), score, piece.files[0])
                back = np.full(rows, -1)
                back[good] = np.arange(len(good))
                found[external.logits_name(teacher)] = logits.take(pa.array(back, mask=back < 0))
        return found

    def _groups(self, chunk: Chunk, piece: Piece, problems: Problems) -> dict[str, Any]:
        name = self.data.columns.group
        if name is None:
            return {}
        if name not in chunk.table.column_names:
            return {"group": groups.unknown(len(chunk.table))}
        column = chunk.table[name]
        _note(problems, column.is_null(), f"column {name}: found null, expected the name of its group; fix the row")
        present = column.take(pa.array(np.flatnonzero(column.is_valid())))
        numbers = groups.unknown(len(column))
        numbers[np.asarray(column.is_valid())] = groups.numbers_of(present, f"{piece.files[0]}, column {name}")
        return {"group": numbers}

    def _put_aside(self, chunk: Chunk, piece: Piece, problems: Problems) -> None:
        first = int(chunk.rows[0]) if len(chunk.rows) else piece.first_row
        name = f"{piece.number:06d}-{first:012d}"
        places = sorted(problems)
        bad = [self._bad(piece, int(chunk.rows[place]), problems[place]) for place in places]
        self.quarantine.put(name, bad, chunk.table.take(pa.array(places, pa.int64())))
        self.quarantine.put(f"{name}-unread", [self._bad(piece, row.row, row.reason, row.text) for row in chunk.unread])

    def _bad(self, piece: Piece, row: int, reason: str, text: str = "") -> BadRow:
        if self.images:
            return BadRow(piece.files[row], None, reason, text)
        return BadRow(piece.files[0], row, reason, text)


def _mistyped(piece: Piece, problem: str) -> InputError:
    return InputError(f"{piece.files[0]}: {problem}")


def _note(problems: Problems, wrong: Any, reason: str) -> None:
    for row in np.flatnonzero(np.asarray(wrong)):
        problems.setdefault(int(row), reason)


def _texts(column: pa.ChunkedArray, name: str, piece: Piece, problems: Problems) -> pa.ChunkedArray:
    kind = column.type
    if not (is_text(kind) or pa.types.is_null(kind)):
        raise _mistyped(piece, f"column {name} holds {kind}, expected texts; convert the column or name another")
    texts = column.cast(pa.string())
    empty = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0).fill_null(True)
    _note(problems, empty, f"column {name}: the text is empty, expected at least one word; fix the row")
    return texts


def _lists(column: pa.ChunkedArray, name: str, numbers: int, piece: Piece, problems: Problems) -> pa.Array:
    lists = column.combine_chunks()
    kind = lists.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise _mistyped(piece, f"column {name} holds {kind}, expected lists of numbers; convert the column")
    value = kind.value_type
    if not (pa.types.is_integer(value) or pa.types.is_floating(value)):
        raise _mistyped(piece, f"column {name} holds {kind}, expected lists of numbers; convert the column")
    lengths = pc.list_value_length(lists).fill_null(-1).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(lengths != numbers):
        found = "null" if lengths[row] < 0 else f"{lengths[row]} numbers"
        problems.setdefault(
            int(row), f"column {name}: found {found}, expected {numbers} as in the first row; pad or cut it"
        )
    right = np.flatnonzero(lengths == numbers)
    flat = lists.take(pa.array(right)).flatten() if len(right) < len(lists) else lists.flatten()
    if flat.null_count:
        nulls = flat.is_null().to_numpy(zero_copy_only=False).reshape(len(right), numbers).any(axis=1)
        _note(
            problems, np.isin(np.arange(len(lists)), right[nulls]), f"column {name}: found null among numbers; fix it"
        )
        flat = flat.fill_null(0)
    values = np.zeros((len(lists), numbers), np.uint8 if value == pa.uint8() else np.float32)
    values[right] = flat.to_numpy(zero_copy_only=False).reshape(len(right), numbers)
    return _fixed(values, name, problems)


def _side_by_side(table: pa.Table, piece: Piece, problems: Problems) -> pa.Array:
    for name in table.column_names:
        kind = table[name].type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise _mistyped(piece, f"column {name} holds {kind}, expected numbers; convert the column")
    columns = [column.to_numpy(zero_copy_only=False).astype(np.float32) for column in table.columns]
    return _fixed(np.stack(columns, axis=1), f"of {', '.join(table.column_names[:4])}", problems)


def _fixed(values: NDArray[Any], name: str, problems: Problems) -> pa.Array:
    if values.dtype != np.uint8:
        finite = np.isfinite(values)
        for row in np.flatnonzero(~finite.all(axis=1)):
            place = int(np.argmin(finite[row]))
            found = f"number {place} is {values[row, place]}"
            problems.setdefault(int(row), f"column {name}: {found}, expected finite numbers; fix the row")
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
