"""External teachers: a source's column of probabilities or logits, as rows of the logits store.

Readers: sources, which check and convert a row group, and ingestion, which checks the splits and writes shards.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykd.config import ExternalColumn
from raykd.data import largest
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
    if column.null_count < len(column) and not is_numeric(column.type):
        raise InputError(f"{where}: found {column.type}, expected numbers or lists of numbers; convert the column")
    if (wrong := next(wrong_rows(column, external), None)) is not None:
        raise InputError(f"{where}, row {wrong[0]}: {wrong[1]}")
    values_BC = _numbers(column.combine_chunks())
    single = values_BC.shape[1] == 1
    if external.kind == "logits":
        logits_BC = np.hstack([np.zeros_like(values_BC), values_BC]) if single else values_BC
    else:
        probabilities_BC = np.hstack([1.0 - values_BC, values_BC]) if single else values_BC
        logits_BC = np.log(np.clip(probabilities_BC, _SMALLEST, 1.0))
    offsets = np.arange(len(logits_BC) + 1, dtype=np.int32) * logits_BC.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(logits_BC.astype(np.float16).ravel()))


def wrong_rows(column: pa.ChunkedArray, external: ExternalColumn) -> Iterator[tuple[int, str]]:
    """Rows whose score can't be used, and why: a null or NaN, numbers out of range, another length than most have.

    Args: column: numbers, or lists of them; a column of nulls alone has scored nothing, and nothing is wrong with it.
    """
    values = column.combine_chunks()
    if values.null_count == len(values):
        return
    given_B = values.is_valid().to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(~given_B).tolist():
        yield row, "found null, expected a score; fix the row"
    rows, values = np.flatnonzero(given_B), values.filter(pa.array(given_B))
    if is_list(values.type):
        lengths_B = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        usual = _usual(lengths_B)
        full_B = (lengths_B == usual) & (lengths_B > 1)
        for place in np.flatnonzero(~full_B).tolist():
            expected = f"{max(usual, 2)}, one per class"
            yield int(rows[place]), f"found {lengths_B[place]} numbers, expected {expected}; fix the row"
        rows, values = rows[full_B], values.filter(pa.array(full_B))
        if not len(values):
            return
        whole_B = ~values.flatten().is_null().to_numpy(zero_copy_only=False).reshape(len(values), -1).any(axis=1)
        for place in np.flatnonzero(~whole_B).tolist():
            yield int(rows[place]), "found null, expected numbers; fix the row"
        rows, values = rows[whole_B], values.filter(pa.array(whole_B))
    for place, problem in _out_of_range(_numbers(values), external.kind):
        yield int(rows[place]), problem


def _usual(lengths_B: NDArray[np.int64]) -> int:
    """The most frequent one, the first row's among equals."""
    found, counts = np.unique(lengths_B, return_counts=True)
    first = counts[found == lengths_B[0]] == counts.max()
    return int(lengths_B[0] if first else found[counts.argmax()])


def _numbers(values: pa.Array) -> NDArray[np.float64]:
    """[rows, numbers per row]; a single number counts as a list of one."""
    rows = len(values)
    flat = values.flatten() if is_list(values.type) else values
    # Not by Arrow: it doesn't cast float16 everywhere.
    numbers: NDArray[np.float64] = flat.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers.reshape(rows, -1) if rows else numbers.reshape(0, 1)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type has a list in each row."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Whether a column of this type has a number or a list of numbers in each row."""
    kind = kind.value_type if is_list(kind) else kind
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def _out_of_range(values_BC: NDArray[np.float64], kind: str) -> Iterator[tuple[int, str]]:
    if kind == "logits":
        for row in np.flatnonzero(~(np.abs(values_BC) <= _LARGEST_LOGIT).all(axis=1)).tolist():
            expected = f"finite logits of at most {_LARGEST_LOGIT:.0f}"
            yield row, f"found {_shown(values_BC[row])}, expected {expected}; fix the row"
        return
    inside_B = ((values_BC >= -_ROUNDING) & (values_BC <= 1.0 + _ROUNDING)).all(axis=1)
    sums_B = values_BC.sum(axis=1)
    remedy = "fix the row or set kind: logits"
    for row in np.flatnonzero(~inside_B).tolist():
        yield row, f"found {_shown(values_BC[row])}, expected probabilities from 0 to 1; {remedy}"
    if values_BC.shape[1] > 1:
        for row in np.flatnonzero(inside_B & (np.abs(sums_B - 1.0) > _SUM_TOLERANCE)).tolist():
            yield row, f"found a sum of {sums_B[row]:.6g}, expected probabilities that sum to 1; {remedy}"


def _shown(values_C: NDArray[np.float64]) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values_C[:4])
    return shown if len(values_C) <= 4 else f"{shown}, ..."


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


def as_stored(lists: pa.ChunkedArray) -> dict[str, Any] | None:
    """Columns of a shard's rows as the store holds them; None where the teacher has not scored all of them."""
    rows = lists.combine_chunks()
    if not pc.min(pc.list_value_length(rows)).as_py():
        return None
    return largest.columns_of(rows.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1))


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
    an external teacher left out a row of train, or a part of another split.
    """
    for name, width in widths.items():
        for split, rows in rows_of.items():
            without = np.flatnonzero(width[rows] == 0)
            if len(without) and (split == "train" or len(without) < len(rows)):
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
