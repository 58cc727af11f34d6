"""JSON Lines: a task reads one file, a line at a time."""

import io
import json
from collections.abc import Iterator, Sequence

from pyarrow import fs

from raykd.config import DataConfig
from raykd.data.sources.files import SourceFile
from raykd.data.sources.pieces import IDS_PER_FILE, Chunk, Piece, Unread
from raykd.data.sources.records import Record, chunks_of
from raykd.errors import InputError

_SHOWN = 200  # characters of a line that can't be read


def pieces(filesystem: fs.FileSystem, files: Sequence[SourceFile], data: DataConfig, labelled: bool) -> list[Piece]:
    """One per file."""
    return [
        Piece((file.path,), file.split, number, first_id=number * IDS_PER_FILE) for number, file in enumerate(files)
    ]


def chunks(filesystem: fs.FileSystem, piece: Piece, data: DataConfig, labelled: bool) -> Iterator[Chunk]:
    """The rows of a file."""
    return chunks_of(_records(filesystem, piece.files[0]), piece, data, labelled)


def _records(filesystem: fs.FileSystem, path: str) -> Iterator[Record]:
    row = 0
    try:
        with filesystem.open_input_stream(path) as stream:
            for line in io.TextIOWrapper(stream, encoding="utf-8-sig"):
                if line.strip():
                    yield _record(line, row)
                    row += 1
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"{path}, row {row} or later: {' '.join(str(error).split())}; expected UTF-8, one JSON object per line; "
            "write the file again"
        ) from error


def _record(line: str, row: int) -> Record:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return Unread(row, f"not valid JSON ({error}); expected one object per line; fix the row", line[:_SHOWN])
    if not isinstance(value, dict):
        return Unread(
            row, f"found {type(value).__name__}, expected an object such as {{...}}; fix the row", line[:_SHOWN]
        )
    return value
