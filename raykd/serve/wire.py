"""What goes over the wire: a request's body to rows, or to the error that the client reads. No Ray, no TensorFlow.

A body is one row, `{"query": "...", "passage": "..."}`, or many, `{"rows": [{...}, {...}]}`.

Axes: B rows, C classes, P parts.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raykd.serve.settings import Limits


class RequestError(Exception):
    """A request that is answered with an error.

    Args: status: of HTTP; message: one line that says what was found, what was expected, and the remedy.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def as_json(self) -> dict[str, Any]:
        """The answer's body."""
        return {"error": {"status": self.status, "message": self.message}}


@dataclass(frozen=True)
class Asked:
    """The rows of a request, each the model's fields in order; `many`: whether they came as a list."""

    rows: list[list[Any]]
    many: bool


def parse(body: bytes, described: Mapping[str, Any], limits: Limits) -> Asked:
    """Check a body.

    Args: described: the bundle's manifest.
    Raises: RequestError: 400 for what isn't JSON, 413 for too many rows or characters, 422 for other fields or values.
    """
    value = _json(body)
    fields: list[str] = described["fields"]
    if not isinstance(value, dict):
        raise RequestError(
            422, f"found {_kind(value)}, expected an object with {_names(fields)}, or with rows: a list of them"
        )
    many = "rows" in value and "rows" not in fields
    if not many:
        return Asked([_row(value, described, limits, "the row")], many)
    if others := sorted(set(value) - {"rows"}):
        raise RequestError(422, f"found {_names(others)} beside rows, expected rows alone; leave the others out")
    rows = value["rows"]
    if not isinstance(rows, list) or not rows:
        found = "an empty list" if rows == [] else _kind(rows)
        raise RequestError(422, f"rows: found {found}, expected a list of 1 to {limits.rows} objects")
    if len(rows) > limits.rows:
        raise RequestError(413, f"rows: found {len(rows)}, expected at most {limits.rows}; send several requests")
    return Asked([_row(row, described, limits, f"row {place}") for place, row in enumerate(rows)], many)


def check_finite(probabilities_BC: Sequence[Sequence[float]]) -> None:
    """Refuse rows that the model can't predict. Raises: RequestError naming the first of them."""
    for row, own_C in enumerate(probabilities_BC):
        if not all(map(math.isfinite, own_C)):
            raise RequestError(422, f"row {row}: its numbers are too large for the model; scale them as in training")


def answer(
    asked: Asked, parts: Sequence[str], class_names: Sequence[str], probabilities_BC: Any, parts_BPC: Any
) -> dict[str, Any]:
    """The answer's body: for each row `class`, `probabilities` and, where several are averaged, `parts` by name.

    Also `name`, of the class. Args: class_names: empty where classes have none.
    """
    rows = []
    for own_C, parts_PC in zip(probabilities_BC, parts_BPC, strict=True):
        best = max(range(len(own_C)), key=own_C.__getitem__)
        named = {"name": class_names[best]} if class_names else {}
        averaged = {"parts": dict(zip(parts, parts_PC, strict=True))} if len(parts) > 1 else {}
        rows.append({"class": best, **named, "probabilities": own_C, **averaged})
    return {"rows": rows} if asked.many else rows[0]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise RequestError(400, f"the body is not JSON: {reason}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _row(row: Any, described: Mapping[str, Any], limits: Limits, where: str) -> list[Any]:
    fields: list[str] = described["fields"]
    if not isinstance(row, dict) or set(row) != set(fields):
        found = _names(sorted(row)) if isinstance(row, dict) else _kind(row)
        raise RequestError(422, f"{where}: found {found or 'no field'}, expected {_names(fields)}")
    inputs = described["inputs"]
    if inputs["kind"] == "tokens":
        return [_text(row[name], limits, f"{where}, {name}") for name in fields]
    return [_numbers(row[fields[0]], inputs, f"{where}, {fields[0]}")]


def _text(value: Any, limits: Limits, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        found = "an empty text" if isinstance(value, str) else _kind(value)
        raise RequestError(422, f"{where}: found {found}, expected a text that isn't empty")
    if len(value) > limits.characters:
        raise RequestError(
            413, f"{where}: found {len(value)} characters, expected at most {limits.characters}; cut the text"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            422, f"{where}: found half of a surrogate pair at {error.start}, expected Unicode text"
        ) from error
    return value


def _numbers(value: Any, inputs: Mapping[str, Any], where: str) -> list[float]:
    length, small = inputs["length"], inputs["dtype"] == "uint8"
    expected = f"a list of {length} {'whole numbers from 0 to 255' if small else 'numbers'}"
    if not isinstance(value, list):
        raise RequestError(422, f"{where}: found {_kind(value)}, expected {expected}")
    if len(value) != length:
        raise RequestError(422, f"{where}: found {len(value)} numbers, expected {expected}")
    for place, number in enumerate(value):
        if not _is_number(number) or (small and not (isinstance(number, int) and 0 <= number <= 255)):
            raise RequestError(422, f"{where}: found {str(number)[:40]} at {place}, expected {expected}")
    return value


def _is_number(value: Any) -> bool:
    """Of those that float32 holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 3e38


def _names(names: Sequence[str]) -> str:
    return ", ".join(str(name)[:40] for name in names[:8])


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
