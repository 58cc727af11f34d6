"""Rows that come one by one as values by name (JSON Lines, TFRecord), put together to tables of common types."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from raykd.config import DataConfig
from raykd.data.sources.pieces import Chunk, Piece, Unread, check_columns, inputs_of, wanted_of

_ROWS, _IMAGES = 4096, 256  # in memory at a time
_SHOWN = 60  # characters of a value in a message

Record = Mapping[str, Any] | Unread
"""A row's values, or why it can't be read."""


def chunks_of(records: Iterable[Record], piece: Piece, data: DataConfig, labelled: bool) -> Iterator[Chunk]:
    """Chunks of a file's records, in order. Raises: InputError when a column stands in none of the rows."""
    kinds = kinds_of(data)
    seen: dict[str, None] = {}
    held, first = list[Record](), 0
    most = _ROWS if data.columns.image is None else _IMAGES
    for record in records:
        held.append(record)
        if isinstance(record, Mapping):
            seen.update(dict.fromkeys(record))
        if len(held) == most:
            check_columns(piece.files[0], piece.split, list(seen), data, labelled=False)
            yield _chunk(held, first, kinds)
            held, first = [], first + len(held)
    if seen:  # Rows with a label may come last.
        check_columns(piece.files[0], piece.split, list(seen), data, labelled)
    if held:
        yield _chunk(held, first, kinds)


def kinds_of(data: DataConfig) -> dict[str, str]:
    """What each wanted column holds: text, label, integer, numbers, number or image."""
    columns = data.columns
    kinds = dict.fromkeys(wanted_of(data), "text")
    if columns.features is not None:
        kinds.update(dict.fromkeys(inputs_of(data), "numbers" if isinstance(columns.features, str) else "number"))
    if columns.image is not None:
        kinds[columns.image] = "image"
    kinds.update({score.column: "score" for score in columns.external.values()})
    kinds[columns.label] = "label"
    if columns.id is not None:
        kinds[columns.id] = "integer"
    if columns.group is not None and columns.group not in inputs_of(data):
        kinds[columns.group] = "label"
    return kinds


def _chunk(records: Sequence[Record], first: int, kinds: Mapping[str, str]) -> Chunk:
    unread: list[Unread] = []
    rows: list[int] = []
    values: dict[str, list[Any]] = {name: [] for name in kinds}
    for row, record in enumerate(records, start=first):
        if isinstance(record, Unread):
            unread.append(record)
            continue
        wrong = next((name for name, kind in kinds.items() if not _fits(record.get(name), kind)), None)
        if wrong is not None:
            found = repr(record[wrong])[:_SHOWN]
            reason = f"column {wrong}: found {found}, expected {_EXPECTED[kinds[wrong]]}; fix the row"
            unread.append(Unread(row, reason, found))
            continue
        rows.append(row)
        for name, kind in kinds.items():
            values[name].append(_label(record.get(name)) if kind == "label" else record.get(name))
    columns = {name: _column(values[name], kind) for name, kind in kinds.items()}
    return Chunk(pa.table(columns), np.asarray(rows, np.int64), unread)


def _is_text(value: Any) -> bool:
    """Of whole characters: JSON can hold halves of surrogate pairs."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


_FITS: dict[str, Callable[[Any], bool]] = {
    "text": _is_text,
    "label": lambda value: isinstance(value, int | float) or _is_text(value),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63,
    "number": _is_number,
    "numbers": _are_numbers,
    "score": lambda value: _is_number(value) or _are_numbers(value),
    "image": lambda value: isinstance(value, str | bytes),
}
_EXPECTED = {
    "text": "a text",
    "label": "an integer or a name",
    "integer": "an integer of 64 bits",
    "number": "a number",
    "numbers": "a list of numbers",
    "score": "a number or a list of numbers",
    "image": "an encoded image or a path",
}


def _fits(value: Any, kind: str) -> bool:
    return value is None or _FITS[kind](value)


def _label(value: Any) -> str | None:
    """As text: whether labels are names shows when all rows are read."""
    if value is None or isinstance(value, str):
        return value
    whole = isinstance(value, float) and math.isfinite(value) and value == int(value)
    return str(int(value)) if whole or isinstance(value, bool) else str(value)


def _column(values: list[Any], kind: str) -> pa.Array:
    if kind in ("text", "label"):
        return pa.array(values, pa.string())
    if kind == "integer":
        return pa.array(values, pa.int64())
    if kind == "number":
        return pa.array(values, pa.float64())
    if kind == "image":
        encoded = any(isinstance(value, bytes) for value in values)
        return pa.array(values, pa.binary() if encoded else pa.string())
    lists = [value if value is None or isinstance(value, list) else [value] for value in values]
    if kind == "score" and not any(isinstance(value, list) for value in values):
        return pa.array(values, pa.float64())
    return pa.array(lists, pa.list_(pa.float64()))
