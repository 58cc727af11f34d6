"""CSV and TSV: a task reads one file, a block of some megabytes at a time. Every column comes as text."""

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, fs

from raykd.config import DataConfig
from raykd.data.sources.files import SourceFile
from raykd.data.sources.pieces import IDS_PER_FILE, Chunk, Piece, Unread, check_columns, inputs_of, wanted_of
from raykd.errors import InputError

_BLOCK_BYTES = 4 << 20
_PROBE_BYTES = 1 << 16
_BETWEEN = re.compile(r"[\s,;]+")  # numbers of one cell
_SHOWN = 40  # characters of a cell in a message


def pieces(filesystem: fs.FileSystem, files: Sequence[SourceFile], data: DataConfig, labelled: bool) -> list[Piece]:
    """One per file. Raises: InputError when its header lacks a column."""
    for file in files:
        check_columns(file.path, file.split, _header(filesystem, file.path), data, labelled)
    return [
        Piece((file.path,), file.split, number, first_id=number * IDS_PER_FILE) for number, file in enumerate(files)
    ]


def chunks(filesystem: fs.FileSystem, piece: Piece, data: DataConfig, labelled: bool) -> Iterator[Chunk]:
    """The rows of a file."""
    path = piece.files[0]
    names = _header(filesystem, path)
    columns = [name for name in wanted_of(data) if name in names]
    tabs = _delimiter(path) == "\t"
    ragged: list[Unread] = []

    def skip(row: Any) -> str:
        # pyarrow counts the header as the first row.
        found, expected = row.actual_columns, row.expected_columns
        ragged.append(Unread(row.number - 2, f"found {found} cells, expected {expected}; fix the row", row.text or ""))
        return "skip"

    next_row, left_out = 0, list[int]()
    try:
        for batch in _opened(filesystem, path, columns, skip, others=names if tabs else ()):
            left_out = [row for row in left_out if row >= next_row] + [row.row for row in ragged]
            unread, ragged[:] = list(ragged), []
            rows = np.arange(next_row, next_row + len(batch) + len(left_out), dtype=np.int64)
            rows = rows[~np.isin(rows, left_out)][: len(batch)]
            next_row = int(rows[-1]) + 1 if len(rows) else next_row
            chunk = Chunk(pa.Table.from_batches([batch]), rows, unread)
            if tabs:
                chunk = _without_swallowed(chunk, columns)
            yield _with_numbers(chunk, data)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _broken(path, error) from error
    if ragged:
        yield Chunk(pa.table({name: pa.array([], pa.string()) for name in columns}), np.zeros(0, np.int64), ragged)


def _opened(
    filesystem: fs.FileSystem, path: str, columns: list[str], skip: Any, others: Sequence[str]
) -> csv.CSVStreamingReader:
    """Args: columns: as texts; others: all in order, those that aren't among the columns as bytes."""
    return csv.open_csv(
        filesystem.open_input_stream(path),
        # Rows are numbered only where one thread reads.
        read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=csv.ParseOptions(
            delimiter=_delimiter(path), newlines_in_values=True, invalid_row_handler=skip, ignore_empty_lines=True
        ),
        convert_options=csv.ConvertOptions(
            column_types={**dict.fromkeys(others, pa.binary()), **dict.fromkeys(columns, pa.string())},
            include_columns=list(dict.fromkeys(others)) or columns,
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _header(filesystem: fs.FileSystem, path: str) -> list[str]:
    try:
        with filesystem.open_input_stream(path) as stream:
            # pyarrow would print where it can't show a row.
            codecs.getincrementaldecoder("utf-8")().decode(stream.read(_PROBE_BYTES))
        with filesystem.open_input_stream(path) as stream:
            options = csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES)
            names: list[str] = csv.open_csv(
                stream,
                read_options=options,
                parse_options=csv.ParseOptions(
                    delimiter=_delimiter(path), newlines_in_values=True, invalid_row_handler=lambda _: "skip"
                ),
            ).schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _broken(path, error) from error
    return names


def _delimiter(path: str) -> str:
    return "\t" if path.removesuffix(".gz").lower().endswith(".tsv") else ","


def _broken(path: str, error: Exception) -> InputError:
    return InputError(f"{path}: not a CSV file in UTF-8 with a header ({' '.join(str(error).split())}); write it again")


def _without_swallowed(chunk: Chunk, columns: list[str]) -> Chunk:
    """The chunk without rows that hold others in a cell: many write TSV as it is, with quotes that none closes.

    Args: columns: to keep.
    """
    names, found = chunk.table.column_names, dict[int, Unread]()
    for column, name in enumerate(names):
        cells = chunk.table[name]
        tabbed, broken = (pc.fill_null(pc.match_substring(cells, mark), False) for mark in "\t\n")
        for place in np.flatnonzero(np.asarray(pc.and_(tabbed, broken))):
            cell = cells[int(place)].as_py()
            text = cell if isinstance(cell, str) else cell.decode(errors="replace")
            if lines := _rows_in(text, column, len(names)):
                reason = (
                    f"column {name}: a quote takes in the {lines} lines that follow; write a quote in a cell as two, "
                )
                found[int(place)] = Unread(int(chunk.rows[place]), f"{reason}and quotes around the cell", text)
    whole = np.setdiff1d(np.arange(len(chunk.table)), list(found))
    table = chunk.table.select(columns)
    kept = table.take(pa.array(whole)) if found else table
    return Chunk(kept, chunk.rows[whole], [*chunk.unread, *found.values()])


def _rows_in(text: str, column: int, columns: int) -> int:
    """How many lines of a cell, after its first, are rows of the file; 0 if not all of them look so.

    Args: column: the cell's, of so many, counted from 0.
    """
    first, *later = text.removesuffix("\n").split("\n")
    tabs = [line.count("\t") for line in later]
    # The last one reaches to the cell whose quote closed this one, or is whole at the end of the file.
    like_rows = all(found == columns - 1 for found in tabs[:-1]) and tabs[-1:] in ([column], [columns - 1])
    full = like_rows and not any(line.startswith("\t") for line in later)  # as lines of code do
    return len(later) if full and first.count("\t") == columns - 1 - column else 0


def _with_numbers(chunk: Chunk, data: DataConfig) -> Chunk:
    """Numbers in the place of their texts: ids, features and external teachers' scores."""
    table, unread = chunk.table, dict[int, Unread]()
    for name, kind in _numeric(data, table).items():
        cells = table[name].to_pylist()
        values = [None if cell is None else _READERS[kind](cell) for cell in cells]
        for place, (cell, value) in enumerate(zip(cells, values, strict=True)):
            if value is None and cell is not None:
                reason = f"column {name}: found {cell[:_SHOWN]!r}, expected {kind}; fix the row"
                unread.setdefault(place, Unread(int(chunk.rows[place]), reason, cell))
        table = table.set_column(table.column_names.index(name), name, pa.array(values, _TYPES[kind]))
    if not unread:
        return Chunk(table, chunk.rows, chunk.unread)
    kept = np.setdiff1d(np.arange(len(table)), list(unread))
    return Chunk(table.take(pa.array(kept)), chunk.rows[kept], [*chunk.unread, *unread.values()])


def _numeric(data: DataConfig, table: pa.Table) -> dict[str, str]:
    """What stands in the columns that hold no text."""
    columns = data.columns
    kinds = {}
    if columns.features is not None:
        kinds = dict.fromkeys(inputs_of(data), "numbers" if isinstance(columns.features, str) else "a number")
    for score in columns.external.values():
        first = (
            next((cell for cell in table[score.column].to_pylist() if cell), "")
            if score.column in table.column_names
            else ""
        )
        kinds[score.column] = "numbers" if len(_split(first)) > 1 else "a number"
    if columns.id is not None:
        kinds[columns.id] = "an integer"
    return {name: kind for name, kind in kinds.items() if name in table.column_names}


def _split(cell: str) -> list[str]:
    """The parts of a cell such as [0.2, 0.8] or 0.2 0.8."""
    return [part for part in _BETWEEN.split(cell.strip(" []")) if part]


def _read_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _read_numbers(cell: str) -> list[float] | None:
    try:
        return [float(part) for part in _split(cell)]
    except ValueError:
        return None


def _read_integer(cell: str) -> int | None:
    try:
        return int(cell)
    except ValueError:
        return None


_READERS: dict[str, Callable[[str], Any]] = {
    "a number": _read_number, "numbers": _read_numbers, "an integer": _read_integer,
}  # fmt: skip
_TYPES = {"a number": pa.float64(), "numbers": pa.list_(pa.float64()), "an integer": pa.int64()}
