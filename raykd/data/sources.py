"""Raw rows from a built-in or a user's source, as a Ray Dataset that is read in parallel.

Columns of every source: `example_id` int64, `label` int32 (-1 where unknown), `text_0` (and `text_1`) or
`features`, `split` where the source comes split, `group` int64 where rows belong together, and a column of logits for
each external teacher.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray.data

from raykd.config import DataConfig
from raykd.data import docsqa, external, groups
from raykd.data.shards import SPLITS
from raykd.errors import InputError

_FILES_PER_TASK = 100  # of docs-QA's Python files


def source_fingerprint(data: DataConfig) -> Any:
    """What changes when the source's content does, cheap to compute.

    Raises: InputError when the source is missing or can't be read.
    """
    if data.source == "docsqa":
        return docsqa.versions()
    if data.source == "digits":
        return "digits"
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in _parquet_files(data.source)]


def read_source(data: DataConfig, seed: int, tasks: int) -> ray.data.Dataset:
    """Raw rows of the configured source, read by up to `tasks` Ray tasks at a time.

    Raises: InputError naming file, row, what was found, what was expected and the remedy.
    """
    if data.source == "docsqa":
        return ray.data.from_arrow(_docsqa(data, seed, tasks))
    if data.source == "digits":
        return ray.data.from_arrow(_digits())
    return _parquet(data, tasks)


def _docsqa(data: DataConfig, seed: int, tasks: int) -> pa.Table:
    files = docsqa.source_files()
    # Stride, so that each task gets a like share of every package.
    pieces = max(1, len(files) // _FILES_PER_TASK)
    items = [{"files": files[start::pieces]} for start in range(pieces)]
    found = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map_batches(_docstrings_of_batch, batch_size=1, batch_format="pyarrow", concurrency=tasks)
        .to_arrow_refs()
    )
    docstrings = pa.concat_tables(table for table in ray.get(found) if table.num_rows)
    return docsqa.pairs(docstrings, {"validation": data.validation, "test": data.test}, seed)


def _docstrings_of_batch(batch: pa.Table) -> pa.Table:
    return docsqa.docstrings_of([file for files in batch["files"].to_pylist() for file in files])


def _digits() -> pa.Table:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    features = (pixels / 16.0).astype(np.float32)
    return pa.table(
        {
            "example_id": pa.array(np.arange(len(labels), dtype=np.int64)),
            "label": pa.array(labels.astype(np.int32)),
            "features": pa.FixedSizeListArray.from_arrays(features.ravel(), features.shape[1]),
        }
    )


def _parquet_files(source: str) -> list[Path]:
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(
            f"data.source: {source}: no such file or folder; expected docsqa, digits, a Parquet file or a folder"
        )
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"data.source: {source}: the folder holds no *.parquet file; name another folder or a file")
    if not all(os.access(file, os.R_OK) for file in files):
        raise InputError(f"data.source: {source}: not readable; grant read permission")
    return files


def _parquet(data: DataConfig, tasks: int) -> ray.data.Dataset:
    items: list[dict[str, Any]] = []
    offset = 0
    for file in _parquet_files(data.source):
        try:
            found = pq.ParquetFile(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                f"{file}: not a complete Parquet file ({str(error).splitlines()[0]}); write it again"
            ) from error
        _check_columns(str(file), found.schema_arrow, data)
        split = file.stem if file.stem in SPLITS else ""
        for group in range(found.num_row_groups):
            items.append({"file": str(file), "group": group, "split": split, "offset": offset})
            offset += found.metadata.row_group(group).num_rows
    if len({bool(item["split"]) for item in items}) > 1:
        raise InputError(
            f"data.source: {data.source}: some files are named by split and some are not; "
            f"name all of them <split>.parquet ({', '.join(SPLITS)}) or none"
        )
    reader = _RowGroupReader(data)
    return ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        reader, batch_size=1, batch_format="pyarrow", concurrency=tasks
    )


def _check_columns(file: str, schema: pa.Schema, data: DataConfig) -> None:
    scores = [score.column for score in data.columns.external.values()]
    wanted = list(_inputs(data))
    # What external teachers have scored needs no label, and rows to validate or test on need no score.
    if not scores or Path(file).stem == "test":
        wanted.append(data.columns.label)
    if Path(file).stem not in ("validation", "test"):
        wanted.extend(scores)
    if data.columns.group is not None and Path(file).stem not in ("train", "unlabelled", "validation"):
        wanted.append(data.columns.group)
    for column in wanted:
        if column not in schema.names:
            raise InputError(
                f"{file}: column {column} is missing; found {', '.join(schema.names)}; "
                "name the right ones under data.columns"
            )


def _inputs(data: DataConfig) -> Sequence[str]:
    columns = data.columns
    if (columns.text is None) == (columns.features is None):
        raise InputError("data.columns: expected either text (one or two columns) or features; set one of them")
    if columns.features is not None:
        return [columns.features]
    if columns.text is None or len(columns.text) not in (1, 2):
        raise InputError(f"data.columns.text: found {columns.text}, expected one column, or two for pairs")
    return columns.text


class _RowGroupReader:
    """Reads one row group into the common columns."""

    def __init__(self, data: DataConfig) -> None:
        self._data = data

    def __call__(self, batch: pa.Table) -> pa.Table:
        [item] = batch.to_pylist()
        inputs = _inputs(self._data)
        label = self._data.columns.label
        file = pq.ParquetFile(item["file"])
        scores = self._data.columns.external
        group = self._data.columns.group
        optional = {label, group, *(score.column for score in scores.values())} & set(file.schema_arrow.names)
        table = file.read_row_group(item["group"], columns=[*inputs, *optional.difference(inputs)])
        rows = np.arange(item["offset"], item["offset"] + table.num_rows, dtype=np.int64)
        columns: dict[str, Any] = {"example_id": rows}
        columns["label"] = _labels(table[label], item) if label in optional else _no_labels(table.num_rows)
        where = f"{item['file']}, row group {item['group']}"
        for name, score in scores.items():
            columns[external.logits_name(name)] = (
                external.logits_of(table[score.column], score, where)
                if score.column in optional
                else external.unscored(table.num_rows)
            )
        if group is not None:
            found = group in optional
            columns["group"] = (
                groups.numbers_of(table[group], f"{where}, column {group}") if found else groups.unknown(len(rows))
            )
        if item["split"]:
            columns["split"] = [item["split"]] * table.num_rows
        if self._data.columns.features is not None:
            columns["features"] = _features(table[inputs[0]], inputs[0], item)
        else:
            columns.update({f"text_{i}": table[name].cast(pa.string()) for i, name in enumerate(inputs)})
        return pa.table(columns)


def _labels(column: pa.ChunkedArray, item: dict[str, Any]) -> pa.Array:
    if column.null_count == len(column):
        return _no_labels(len(column))
    if not pa.types.is_integer(column.type):
        raise InputError(
            f"{item['file']}: labels are {column.type}, expected integers 0 to classes - 1; convert the column"
        )
    values = column.fill_null(-1).to_numpy()
    if (values < -1).any():
        row = int(np.argmax(values < -1))
        raise InputError(
            f"{item['file']}, row {row} of row group {item['group']}: label {values[row]}, expected 0 or more, "
            "or -1 or null where unknown; fix the row"
        )
    return pa.array(values.astype(np.int32))


def _no_labels(rows: int) -> pa.Array:
    return pa.array(np.full(rows, -1, np.int32))


def _features(column: pa.ChunkedArray, name: str, item: dict[str, Any]) -> pa.FixedSizeListArray:
    lists = column.combine_chunks()
    lengths = np.unique(lists.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) != 1:
        raise InputError(
            f"{item['file']}: lists in {name} have {lengths.min()} to {lengths.max()} numbers, "
            "expected one length; pad or cut them"
        )
    values = lists.flatten()
    if values.type != pa.uint8():
        values = values.cast(pa.float32())
    return pa.FixedSizeListArray.from_arrays(values, int(lengths[0]))
