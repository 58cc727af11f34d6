"""Labels of a source as integers: what counts as one, and names that become numbers once all rows are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray.data
from numpy.typing import NDArray

from raykd.data.sources.pieces import is_text

UNKNOWN = -1


@dataclass(frozen=True)
class Labels:
    """How a source's labels are read.

    Args:
        classes: how many, or their names in order; None: as many as are found.
        named: whether the column holds texts: names, or integers written as such.
    """

    classes: int | Sequence[str] | None
    named: bool

    @property
    def open(self) -> bool:
        """Whether names become numbers only when all rows are read: until then the column holds texts."""
        return self.named and self.classes is None

    def read(self, column: pa.ChunkedArray) -> tuple[pa.Array, dict[int, str]]:
        """A column as int32 (-1 where unknown), or as texts (null where unknown) if they are `open`.

        Returns: labels, and by row what is wrong with one.
        Raises: TypeError for a column that holds no labels, saying what it holds and what was expected.
        """
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = column.type
        if column.null_count == len(column):
            return self.unknown(len(column)), {}
        if is_text(kind):
            return self._texts(column)
        if pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        elif pa.types.is_unsigned_integer(kind):
            column = column.cast(pa.float64(), safe=False)  # It holds -1, and every class number exactly.
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise TypeError(f"labels are {kind}, expected integers from 0 or names; convert the column")
        found, wrong = self._numbers(column)
        if not self.open:
            return pa.array(found), wrong
        return pa.array([None if label < 0 else str(label) for label in found.tolist()], pa.string()), wrong

    def unknown(self, rows: int) -> pa.Array:
        """Labels of rows without any."""
        return pa.nulls(rows, pa.string()) if self.open else pa.array(np.full(rows, UNKNOWN, np.int32))

    def _numbers(self, column: pa.ChunkedArray) -> tuple[NDArray[np.int32], dict[int, str]]:
        missing = column.is_null().to_numpy()
        values = column.fill_null(UNKNOWN).to_numpy()
        whole = np.isfinite(values) & (np.nan_to_num(values) == np.floor(np.nan_to_num(values)))
        most = np.iinfo(np.int32).max if self.classes is None else self._count() - 1
        good = whole & (values >= UNKNOWN) & (values <= most)
        wrong = {int(row): self._problem(f"{values[row]:g}") for row in np.flatnonzero(~good & ~missing)}
        return np.where(good, values, UNKNOWN).astype(np.int32), wrong

    def _texts(self, column: pa.ChunkedArray) -> tuple[pa.Array, dict[int, str]]:
        texts = pc.utf8_trim_whitespace(column.cast(pa.string())).combine_chunks()
        coded = texts.dictionary_encode()
        numbers: list[int | None] = []
        problems: dict[int, str] = {}
        names = coded.dictionary.to_pylist()
        for code, name in enumerate(names):
            number = self._number(name)
            if number is None:
                problems[code] = self._problem(repr(name) if _integer(name) is None else name)
            numbers.append(UNKNOWN if number is None else number)
        codes = coded.indices.fill_null(-1).to_numpy()
        wrong = {int(row): problems[codes[row]] for row in np.flatnonzero(np.isin(codes, list(problems)))}
        if self.open:
            known = [None if name == "" or _integer(name) == UNKNOWN else name for name in names]
            return pa.array(known, pa.string()).take(coded.indices), wrong
        found = np.asarray([*numbers, UNKNOWN], np.int32)[codes]  # -1 finds the last: unknown.
        return pa.array(found), wrong

    def _number(self, name: str) -> int | None:
        """The number of a text, or None where it names no class; any number for a name that will get one."""
        integer = _integer(name)
        if name == "" or integer == UNKNOWN:
            return UNKNOWN
        if not isinstance(self.classes, int) and self.classes is not None and name in self.classes:
            return list(self.classes).index(name)
        if self.classes is None and integer is None:
            return 0
        if integer is None or integer < 0 or (self.classes is not None and integer >= self._count()):
            return None
        return integer

    def _count(self) -> int:
        return self.classes if isinstance(self.classes, int) else len(self.classes or ())

    def _problem(self, found: str) -> str:
        if self.classes is None:
            expected = "expected 0 or more, or -1 or null where unknown; fix the row"
        elif isinstance(self.classes, int):
            expected = f"but there are {self.classes} classes (0-{self.classes - 1}); fix the row or set data.classes"
        else:
            shown = ", ".join(self.classes[:6]) + (", ..." if len(self.classes) > 6 else "")
            expected = f"but the classes are {shown}; fix the row or set data.classes"
        return f"label {found}, {expected}"


def number_names(raw: ray.data.Dataset) -> tuple[ray.data.Dataset, tuple[str, ...]]:
    """Rows with numbers in the place of the texts in `label`, and the classes' names in order.

    Names are numbered in alphabetical order. Where every one of them is an integer, they are taken as numbers, and
    there are no names.
    """
    found = raw.select_columns(["label"]).map_batches(_distinct, batch_size=None, batch_format="pyarrow")
    names = sorted({row["label"] for row in found.take_all() if row["label"] is not None})
    integers = [_integer(name) for name in names]
    if all(integer is not None for integer in integers):
        numbers, names = dict(zip(names, integers, strict=True)), []
    else:
        numbers = {name: number for number, name in enumerate(names)}
    return raw.map_batches(_Numbers(numbers), batch_format="pyarrow").materialize(), tuple(names)


def _distinct(batch: pa.Table) -> pa.Table:
    return pa.table({"label": batch["label"].unique()})


class _Numbers:
    """Puts each name's number in its place."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self._numbers = numbers

    def __call__(self, batch: pa.Table) -> pa.Table:
        numbers = pa.array(list(self._numbers.values()), pa.int32())
        places = pc.index_in(batch["label"], pa.array(list(self._numbers), pa.string()))
        labels = numbers.take(places).fill_null(UNKNOWN)
        return batch.set_column(batch.schema.get_field_index("label"), "label", labels)


def _integer(text: str) -> int | None:
    """The whole number that a text is, as 2 or as 2.0: tables of numbers with gaps are written so."""
    try:
        number = float(text)
        return int(number) if number.is_integer() else None
    except ValueError:
        return None
