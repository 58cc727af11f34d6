"""Raw rows from a built-in or a user's source, as a Ray Dataset that is read in parallel.

Columns of every source: `example_id` int64, `label` int32 (-1 where unknown), `text_0` (and `text_1`) or
`features`, `split` where the source comes split, and a column of logits for each external teacher. Labels that are
names come as texts (null where unknown) until `labels.number_names` has numbered them.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray.data
from pyarrow import fs

from raykd.config import DataConfig
from raykd.data import docsqa
from raykd.data.checks import Quarantine
from raykd.data.content import content_of
from raykd.data.external import is_list
from raykd.data.sources import csv, images, jsonl, parquet, tfrecord
from raykd.data.sources.builtin import read_digits, read_docsqa
from raykd.data.sources.files import files_of, filesystem_of
from raykd.data.sources.labels import Labels
from raykd.data.sources.pieces import Chunk, Piece, inputs_of
from raykd.data.sources.rows import Rows
from raykd.errors import InputError

FORMATS: dict[str, Any] = {"parquet": parquet, "csv": csv, "jsonl": jsonl, "tfrecord": tfrecord, "images": images}
"""Modules by format, each with `pieces` and `chunks`."""


def source_fingerprint(data: DataConfig) -> Any:
    """What changes when the source's content does.

    Raises: InputError when the source is missing or can't be read.
    """
    if data.source == "docsqa":
        return docsqa.versions()
    if data.source == "digits":
        return "digits"
    files = files_of(data)[1]
    if isinstance(filesystem_of(data.source), fs.LocalFileSystem):
        return content_of({file.relative: Path(file.path) for file in files})
    return [[file.relative, file.size, file.modified] for file in files]


def read_source(data: DataConfig, seed: int, tasks: int, quarantine: Quarantine) -> ray.data.Dataset:
    """Raw rows of the configured source, read by up to `tasks` Ray tasks at a time; bad rows go to the quarantine.

    Raises: InputError naming file, row, what was found, what was expected and the remedy.
    """
    if data.source == "docsqa":
        return read_docsqa(data, seed, tasks)
    if data.source == "digits":
        return read_digits()
    source = open_source(data)
    items = [asdict(piece) for piece in source.pieces]
    return ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _PieceTask(source, quarantine), batch_size=1, batch_format="pyarrow", concurrency=min(tasks, len(items))
    )


@dataclass(frozen=True)
class Source:
    """A user's files, ready to be read piece by piece."""

    data: DataConfig
    kind: str
    filesystem: fs.FileSystem
    pieces: tuple[Piece, ...]
    labels: Labels
    numbers: int
    labelled: bool

    def rows(self, piece: Piece, quarantine: Quarantine) -> Iterator[pa.Table]:
        """The piece's good rows in the common columns, some thousands at a time.

        Raises: InputError for a file that can't be read further, or a column of another type.
        """
        images_ = self.kind == "images"
        make = Rows(self.data, self.labels, self.filesystem, quarantine, self.numbers, images_, self.labelled)
        for chunk in _chunks(self.kind, self.filesystem, piece, self.data, self.labelled):
            yield make(chunk, piece)


def open_source(data: DataConfig, labelled: bool = True) -> Source:
    """List the source's files and see what stands in them.

    Args: labelled: whether labels and scores are to be read; else rows need none.
    Raises: InputError.
    """
    kind, files = files_of(data)
    if kind != "images":
        inputs_of(data)
    filesystem = filesystem_of(data.source)
    pieces = tuple(FORMATS[kind].pieces(filesystem, files, data, labelled))
    if not pieces:
        raise InputError(f"data.source: {data.source}: found no row, expected some; fill it or name another")
    named = kind != "parquet" or parquet.has_names(filesystem, files, data.columns.label)
    labels = Labels(data.classes, named)
    return Source(data, kind, filesystem, pieces, labels, _numbers(kind, filesystem, pieces, data), labelled)


class _PieceTask:
    """Reads the piece of a Ray Data batch."""

    def __init__(self, source: Source, quarantine: Quarantine) -> None:
        self._source = source
        self._quarantine = quarantine

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        [item] = batch.to_pylist()
        item["files"], item["labels"] = tuple(item["files"]), tuple(item["labels"])
        yield from self._source.rows(Piece(**item), self._quarantine)


def _chunks(kind: str, filesystem: fs.FileSystem, piece: Piece, data: DataConfig, labelled: bool) -> Iterator[Chunk]:
    chunks: Iterator[Chunk] = FORMATS[kind].chunks(filesystem, piece, data, labelled)
    return chunks


def _numbers(kind: str, filesystem: fs.FileSystem, pieces: tuple[Piece, ...], data: DataConfig) -> int:
    """Length of the features: that of most of the first rows, where they are lists."""
    columns = data.columns
    if kind == "images" or columns.image is not None:
        return data.image.numbers
    if not isinstance(columns.features, str):
        return len(columns.features or ())
    for piece in pieces:
        for chunk in _chunks(kind, filesystem, piece, data, labelled=False):
            column = chunk.table[columns.features]
            if not is_list(column.type):
                return 0  # Refused where it is read, with the file's name.
            lengths = pc.list_value_length(column).drop_null().to_numpy()
            if len(lengths):
                return int(np.bincount(lengths).argmax())
    return 0
