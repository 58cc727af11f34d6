"""Parquet: a task reads one row group, some thousand rows at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from raykd.config import DataConfig
from raykd.data.sources.files import SourceFile
from raykd.data.sources.pieces import Chunk, Piece, check_columns, is_text, wanted_of
from raykd.errors import InputError

_ROWS, _BYTES = 16384, 64 << 20  # in memory at a time, the most of either


def pieces(filesystem: fs.FileSystem, files: Sequence[SourceFile], data: DataConfig, labelled: bool) -> list[Piece]:
    """One per row group. Raises: InputError for a file that can't be read, or doesn't fit the others."""
    found: list[Piece] = []
    rows = 0
    first: tuple[str, dict[str, str]] | None = None
    for file in files:
        opened = _open(filesystem, file.path)
        schema = opened.schema_arrow
        check_columns(file.path, file.split, schema.names, data, labelled)
        kinds = {name: _kind(schema.field(name).type) for name in wanted_of(data) if name in schema.names}
        first = first or (file.path, kinds)
        _check_alike(file.path, kinds, *first)
        own = 0
        for group in range(opened.num_row_groups):
            found.append(Piece((file.path,), file.split, len(found), group, own, rows + own))
            own += opened.metadata.row_group(group).num_rows
        rows += own
    return found


def chunks(filesystem: fs.FileSystem, piece: Piece, data: DataConfig, labelled: bool) -> Iterator[Chunk]:
    """The rows of a row group."""
    opened = _open(filesystem, piece.files[0])
    columns = [name for name in wanted_of(data) if name in opened.schema_arrow.names]
    row = piece.first_row
    try:
        for batch in opened.iter_batches(_rows_at_once(opened, piece.part), row_groups=[piece.part], columns=columns):
            yield Chunk(_movable(pa.Table.from_batches([batch])), np.arange(row, row + len(batch), dtype=np.int64))
            row += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise _broken(piece.files[0], error) from error


def _movable(table: pa.Table) -> pa.Table:
    """With texts as Arrow's functions take them: many don't know views."""
    kinds = [pa.string() if pa.types.is_string_view(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema([field.with_type(kind) for field, kind in zip(table.schema, kinds, strict=True)]))


def _rows_at_once(opened: pq.ParquetFile, group: int) -> int:
    found = opened.metadata.row_group(group)
    rows: int = max(1, min(_ROWS, _BYTES * found.num_rows // max(1, found.total_byte_size)))
    return rows


def has_names(filesystem: fs.FileSystem, files: Sequence[SourceFile], label: str) -> bool:
    """Whether labels are texts."""
    schemas = (_open(filesystem, file.path).schema_arrow for file in files)
    return any(label in schema.names and _kind(schema.field(label).type) == "text" for schema in schemas)


def _open(filesystem: fs.FileSystem, path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, filesystem=filesystem)
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def _broken(path: str, error: Exception) -> InputError:
    return InputError(f"{path}: not a complete Parquet file ({str(error).splitlines()[0]}); write it again")


def _check_alike(file: str, kinds: dict[str, str], first_file: str, first: dict[str, str]) -> None:
    for name, kind in kinds.items():
        # A column without any value has no type of its own.
        if name in first and kind != first[name] and "null" not in (kind, first[name]):
            raise InputError(
                f"{file}: column {name} holds {kind}, but {first[name]} in {first_file}; expected the same in all "
                "files; convert the column"
            )


def _kind(type_: pa.DataType) -> str:
    """What a column holds, whatever its width."""
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if is_text(type_):
        return "text"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "numbers"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        # The model scales bytes to 0..1, and other numbers not.
        return f"lists of {'bytes' if type_.value_type == pa.uint8() else _kind(type_.value_type)}"
    return str(type_)
