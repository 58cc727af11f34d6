"""External teachers: a source's column of probabilities or logits, as rows of the logits store.

Readers: sources, which check and convert a row group, and ingestion, which checks the splits and writes shards.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykd.config import ExternalColumn
from raykd.errors import InputError

_SMALLEST = 1e-6  # probability; float16 holds its logarithm
_ROUNDING = 1e-6  # by which a probability may lie outside of [0, 1]
_SUM_TOLERANCE = 1e-3  # of a row's sum; probabilities may come as float16
_LARGEST_LOGIT = float(np.finfo(np.float16).max)

_LOGITS = pa.list_(pa.float16())

Rows = NDArray[Any]
"""An integer for each of some rows."""

Index = Mapping[str, Rows]
"""`example_id` and `label` of all rows."""


def logits_name(teacher: str) -> str:
    """The raw rows' column of an external teacher's logits: a list per row, empty where it has not scored."""
    return f"logits_of_{teacher}"


def unscored(rows: int) -> pa.Array:
    """Logits of rows that the teacher has not scored."""
    return pa.array([[]] * rows, _LOGITS)


def logits_of(column: pa.ChunkedArray, external: ExternalColumn, where: str) -> pa.Array:
    """A source's column as raw logits.

    Args: column: one number per row, p = probability of class 1 (or its log-odds), or a list of a number per class;
    where: named in errors, followed by the row.
    Returns: a list float16[C] per row, log(clip(p, 1e-6, 1)) or the logits as they are; for a single number the two
    classes' [log(1 - p), log p], or [0, log-odds]; empty lists where the whole column is null.
    Raises: InputError for another type, a null or NaN, numbers out of range, or lists of several lengths.
    """
    if column.null_count == len(column):
        return unscored(len(column))
    where = f"{where}, column {external.column}"
    values_BC = _numbers(column, where)
    _check(values_BC, external.kind, where)
    single = values_BC.shape[1] == 1
    if external.kind == "logits":
        logits_BC = np.hstack([np.zeros_like(values_BC), values_BC]) if single else values_BC
    else:
        probabilities_BC = np.hstack([1.0 - values_BC, values_BC]) if single else values_BC
        logits_BC = np.log(np.clip(probabilities_BC, _SMALLEST, 1.0))
    offsets = np.arange(len(logits_BC) + 1, dtype=np.int32) * logits_BC.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(logits_BC.astype(np.float16).ravel()))


def _numbers(column: pa.ChunkedArray, where: str) -> NDArray[np.float64]:
    """[rows, numbers per row]; a single number counts as a list of one."""
    values = column.combine_chunks()
    if values.null_count:
        raise _wrong(where, int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))), "null", "a score")
    width = 1
    if _is_list(values.type):
        lengths = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        width = int(lengths[0])
        if (other := lengths != width).any() or width < 2:
            row = int(np.argmax(other))
            raise _wrong(where, row, f"{lengths[row]} numbers", f"{max(width, 2)}, one per class")
        values = values.flatten()
        if values.null_count:
            raise _wrong(
                where, int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) // width, "null", "numbers"
            )
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise InputError(f"{where}: found {column.type}, expected numbers or lists of numbers; convert the column")
    # Not by Arrow: it doesn't cast float16 everywhere.
    numbers: NDArray[np.float64] = values.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers.reshape(len(column), width)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _check(values_BC: NDArray[np.float64], kind: str, where: str) -> None:
    if kind == "logits":
        if (bad_B := ~(np.abs(values_BC) <= _LARGEST_LOGIT).all(axis=1)).any():
            row = int(np.argmax(bad_B))
            raise _wrong(where, row, _shown(values_BC[row]), f"finite logits of at most {_LARGEST_LOGIT:.0f}")
        return
    inside_BC = (values_BC >= -_ROUNDING) & (values_BC <= 1.0 + _ROUNDING)
    if (bad_B := ~inside_BC.all(axis=1)).any():
        row = int(np.argmax(bad_B))
        raise _wrong(where, row, _shown(values_BC[row]), "probabilities from 0 to 1", " or set kind: logits")
    sums_B = values_BC.sum(axis=1)
    if values_BC.shape[1] > 1 and (bad_B := np.abs(sums_B - 1.0) > _SUM_TOLERANCE).any():
        row = int(np.argmax(bad_B))
        raise _wrong(where, row, f"a sum of {sums_B[row]:.6g}", "probabilities that sum to 1", " or set kind: logits")


def _shown(values_C: NDArray[np.float64]) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values_C[:4])
    return shown if len(values_C) <= 4 else f"{shown}, ..."


def _wrong(where: str, row: int, found: str, expected: str, otherwise: str = "") -> InputError:
    return InputError(f"{where}, row {row}: found {found}, expected {expected}; fix the row{otherwise}")


class Widths:
    """Puts the number of each row's logits in the place of the logits, 0 where there are none."""

    def __init__(self, teachers: tuple[str, ...]) -> None:
        self._columns = [logits_name(teacher) for teacher in teachers]

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A block of raw rows."""
        for column in self._columns:
            widths = pc.list_value_length(batch[column])
            batch = batch.set_column(batch.schema.get_field_index(column), column, widths)
        return batch


class Unscored:
    """Adds external teachers' columns to rows that they have not scored."""

    def __init__(self, columns: list[str]) -> None:
        self._columns = columns

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A block of raw rows."""
        for column in self._columns:
            batch = batch.append_column(column, unscored(len(batch)))
        return batch


def as_stored(lists: pa.ChunkedArray) -> pa.FixedSizeListArray | None:
    """Logits of a shard's rows as the store holds them; None where the teacher has not scored all of them."""
    rows = lists.combine_chunks()
    values = rows.flatten()
    scored = pc.min(pc.list_value_length(rows)).as_py()
    return pa.FixedSizeListArray.from_arrays(values, len(values) // len(lists)) if scored else None


def classes_of(index: Index, widths: Mapping[str, Rows]) -> int:
    """Classes that all external teachers agree on.

    Args: index: `example_id` and `label` of all rows; widths: by teacher, each row's logits, 0 where there are none.
    Raises: InputError when teachers or rows differ, when none scored a row, or a label is beyond them.
    """
    classes = max(int(width.max()) for width in widths.values())
    for name, width in widths.items():
        if (other := (width > 0) & (width != classes)).any():
            row = int(np.argmax(other))
            raise InputError(
                f"data.columns.external.{name}: example_id {index['example_id'][row]}: found {width[row]} classes, "
                f"expected {classes} as elsewhere; fix the column"
            )
        if not width.any():
            raise InputError(f"data.columns.external.{name}: found no score in its column, expected some; fill it")
    if (beyond := index["label"] >= classes).any():
        row = int(np.argmax(beyond))
        raise InputError(
            f"example_id {index['example_id'][row]}: label {index['label'][row]}, but there are {classes} classes "
            f"(0-{classes - 1}) in data.columns.external; fix the row or the column"
        )
    return classes


def check_rows(rows_of: Mapping[str, Rows], index: Index, widths: Mapping[str, Rows], source: str) -> None:
    """See that every row can be learned from or measured on.

    Args: rows_of: by split; others as `classes_of` takes them.
    Raises: InputError when a test row has no label, another row of train or validation neither label nor score, or
    an external teacher left out a row of the training part, or a part of another split.
    """
    for name, width in widths.items():
        for split, rows in rows_of.items():
            without = np.flatnonzero(width[rows] == 0)
            if len(without) and (split in ("train", "unlabelled") or len(without) < len(rows)):
                raise InputError(
                    f"data.source {source}: {name} has no score for {len(without)} of {len(rows)} rows of the {split} "
                    f"split (first example_id {index['example_id'][rows[without[0]]]}); expected a score of each; "
                    "fill the column or drop the rows"
                )
    stand_in = {"train": bool(widths), "validation": _scored_by(widths, rows_of["validation"]), "test": False}
    for split, enough in stand_in.items():
        rows = rows_of[split]
        without = np.flatnonzero(index["label"][rows] < 0)
        if len(without) and not enough:
            raise InputError(
                f"data.source {source}: {len(without)} of {len(rows)} rows of the {split} split have no label (first "
                f"example_id {index['example_id'][rows[without[0]]]}); expected one in each; add them or drop the rows"
            )


def _scored_by(widths: Mapping[str, Rows], rows: Rows) -> bool:
    return any(bool(width[rows].all()) for width in widths.values())


def scored_splits(rows_of: Mapping[str, Rows], widths: Mapping[str, Rows]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`Manifest.external` of checked rows."""
    return tuple(
        (name, tuple(split for split, rows in rows_of.items() if len(rows) and width[rows].all()))
        for name, width in widths.items()
    )


def scored_only(rows_of: Mapping[str, Rows], index: Index) -> tuple[str, ...]:
    """`Manifest.scored_only` of checked rows with external teachers."""
    without = {split: index["label"][rows_of[split]] < 0 for split in ("train", "validation")}
    return tuple(split for split, missing in without.items() if missing.any())
