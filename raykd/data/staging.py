"""Data that a program holds, handed over as a source: Parquet files that every worker can read, and a run can resume.

Takes Ray Datasets, Hugging Face datasets, pandas frames, Arrow tables and mappings of arrays, alone or by split. Rows
are streamed. A file whose content stays the same stays as it is, so that nothing that depends on it is redone.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raykd.artifacts import RunDirectory
from raykd.data.shards import SPLITS
from raykd.errors import InputError

SOURCE = "source"
_ROWS = 8192  # of a row group
_DIGESTS = f"{SOURCE}/.digests.json"


def stage(data: Any, run: RunDirectory, label: str) -> tuple[str, list[str] | None]:
    """Write data to `source/` in the run directory.

    Args: data: a data set, or a mapping from split (train, unlabelled, validation, test) to data set; label: its
    column of labels. Returns: what `data.source` is to be, and the classes' names where the data set tells them.
    Raises: InputError for another kind of data.
    """
    by_split = data if isinstance(data, Mapping) and set(data) <= set(SPLITS) and data else {"rows": data}
    old = run.read_json(_DIGESTS) if run.exists(_DIGESTS) else {}
    digests = {
        name: _write(dataset, run, f"{SOURCE}/{name}.parquet", old.get(name)) for name, dataset in by_split.items()
    }
    for name in set(old) - set(digests):
        run.delete(f"{SOURCE}/{name}.parquet")
    run.write_json(_DIGESTS, digests)
    names = (_class_names(part, label) for part in by_split.values())
    return RunDirectory.at(run.root, SOURCE).root, next(filter(None, names), None)


def tables_of(dataset: Any) -> Iterator[pa.Table]:
    """The rows of a data set, some at a time, in its order. Raises: InputError for another kind of data."""
    if isinstance(dataset, pa.Table):
        yield dataset
    elif isinstance(dataset, Mapping):
        yield pa.table({name: _column(values) for name, values in dataset.items()})
    elif hasattr(dataset, "iter_batches"):  # Ray's
        yield from map(_without_tensors, _blocks_in_order(dataset))
    elif hasattr(dataset, "with_format"):  # Hugging Face's
        yield from dataset.with_format("arrow").iter(batch_size=_ROWS)
    elif hasattr(dataset, "to_records"):  # pandas'
        yield pa.Table.from_pandas(dataset, preserve_index=False)
    else:
        raise InputError(
            f"data: found {type(dataset).__name__}, expected a Ray Dataset, a Hugging Face dataset, a pandas frame, an "
            "Arrow table, or a mapping from column to array; convert it"
        )


def _blocks_in_order(dataset: Any) -> Iterator[pa.Table]:
    """Ray hands out blocks as they come; ids are row numbers, so here they come in order."""
    options = dataset.context.execution_options
    usual, options.preserve_order = options.preserve_order, True
    try:
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow")
    finally:
        options.preserve_order = usual


def _column(values: Any) -> pa.Array:
    if isinstance(values, np.ndarray) and values.ndim > 1:
        flat = np.ascontiguousarray(values).reshape(len(values), -1)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
    return pa.array(values)


def _without_tensors(batch: pa.Table) -> pa.Table:
    """Ray's tensor columns as the lists that they are stored as."""
    for place, field in enumerate(batch.schema):
        if isinstance(field.type, pa.ExtensionType):
            batch = batch.set_column(place, field.name, batch[field.name].combine_chunks().storage)
    return batch


def _rebatched(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of so many each: what is written doesn't depend on how they came."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        while sum(map(len, held)) >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows)
            held = [whole.slice(rows)]
    if held and (rest := pa.concat_tables(held)).num_rows:
        yield rest


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.closed = False

    def write(self, content: Any) -> int:
        self._digest.update(content)
        return int(self._stream.write(content))

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.closed = True

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _write(dataset: Any, run: RunDirectory, path: str, old: str | None) -> str:
    """Publish a data set as Parquet unless it's there. Args: old: digest of what is there. Returns: its digest."""
    tables = _rebatched(tables_of(dataset), _ROWS)
    if (first := next(tables, None)) is None or not first.num_columns:
        raise InputError("data: found no row, expected some; fill the data set")
    target, written = run.path(path), run.path(f"{SOURCE}/.writing")
    run.filesystem.create_dir(run.path(SOURCE), recursive=True)
    with run.filesystem.open_output_stream(written, compression=None) as stream:
        file = _Hashing(stream)
        with pq.ParquetWriter(pa.PythonFile(file, "w"), first.schema, compression="zstd") as writer:
            for table in itertools.chain([first], tables):
                writer.write_table(table.cast(first.schema), row_group_size=_ROWS)
    if file.hexdigest() == old and run.exists(path):
        run.filesystem.delete_file(written)
    else:
        run.filesystem.move(written, target)
    return file.hexdigest()


def _class_names(dataset: Any, label: str) -> list[str] | None:
    """The names of a Hugging Face data set's ClassLabel, in order."""
    features = getattr(dataset, "features", None)
    if features is None or isinstance(dataset, Mapping) or label not in features:
        return None
    names = getattr(features[label], "names", None)
    return list(names) if names and len(names) > 1 else None
