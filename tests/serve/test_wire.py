"""What a request may hold, and the answer."""

import json
from typing import Any

import pytest

from raykd.serve.settings import Limits
from raykd.serve.wire import RequestError, answer, check_finite, parse

_PAIRS = {"fields": ["query", "passage"], "inputs": {"kind": "tokens", "length": 64}}
_PIXELS = {"fields": ["pixels"], "inputs": {"kind": "features", "length": 3, "dtype": "uint8"}}
_VECTORS = {"fields": ["v"], "inputs": {"kind": "features", "length": 2, "dtype": "float32"}}
_LIMITS = Limits(rows=2, characters=10)
_ROW = {"passage": "p", "query": "q"}


def _parse(value: Any, described: dict[str, Any] = _PAIRS) -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return parse(body, described, _LIMITS)


def test_one_row_and_many() -> None:
    one, many = _parse(_ROW), _parse({"rows": [_ROW, {"query": "a", "passage": "b"}]})
    assert (one.rows, one.many) == ([["q", "p"]], False)
    assert (many.rows, many.many) == ([["q", "p"], ["a", "b"]], True)
    assert _parse({"pixels": [0, 255, 3]}, _PIXELS).rows == [[[0, 255, 3]]]
    assert _parse({"v": [0.5, -1]}, _VECTORS).rows == [[[0.5, -1]]]


def test_a_field_may_be_called_rows() -> None:
    described = {"fields": ["rows"], "inputs": {"kind": "tokens", "length": 64}}
    assert _parse({"rows": "text"}, described).rows == [["text"]]


@pytest.mark.parametrize(
    ("value", "described", "status", "message"),
    [
        (b"{oops", _PAIRS, 400, "the body is not JSON: Expecting property name"),
        (b"\xff\xfe{", _PAIRS, 400, "the body is not JSON: 'utf-8' codec"),
        (b"", _PAIRS, 400, "the body is not JSON"),
        (b"[" * 100_000, _PAIRS, 400, "nested too deep"),
        (b'{"v": [NaN, 1]}', _VECTORS, 400, "NaN is no number of JSON"),
        (b'{"v": [1e999, 1]}', _VECTORS, 422, "the row, v: found inf at 0, expected a list of 2 numbers"),
        ([_ROW], _PAIRS, 422, "found a list, expected an object with query, passage, or with rows"),
        ({}, _PAIRS, 422, "the row: found no field, expected query, passage"),
        ({"query": "q"}, _PAIRS, 422, "the row: found query, expected query, passage"),
        ({**_ROW, "x": 1}, _PAIRS, 422, "the row: found passage, query, x, expected query, passage"),
        ({"query": 3, "passage": "p"}, _PAIRS, 422, "the row, query: found a number, expected a text"),
        ({"query": " ", "passage": "p"}, _PAIRS, 422, "the row, query: found an empty text"),
        (b'{"query": "\\ud800", "passage": "p"}', _PAIRS, 422, "half of a surrogate pair at 0"),
        ({"query": "q" * 11, "passage": "p"}, _PAIRS, 413, "found 11 characters, expected at most 10"),
        ({"rows": [_ROW] * 3}, _PAIRS, 413, "rows: found 3, expected at most 2"),
        ({"rows": []}, _PAIRS, 422, "rows: found an empty list, expected a list of 1 to 2 objects"),
        ({"rows": [_ROW, None]}, _PAIRS, 422, "row 1: found null, expected query, passage"),
        ({"rows": [_ROW], "seed": 1}, _PAIRS, 422, "found seed beside rows"),
        ({"pixels": [0, 256, 0]}, _PIXELS, 422, "found 256 at 1, expected a list of 3 whole numbers from 0 to 255"),
        ({"pixels": [0, 0.5, 0]}, _PIXELS, 422, "found 0.5 at 1"),
        ({"pixels": [True, 0, 0]}, _PIXELS, 422, "found True at 0"),
        ({"v": [1]}, _VECTORS, 422, "the row, v: found 1 numbers, expected a list of 2 numbers"),
        ({"v": "1,2"}, _VECTORS, 422, "the row, v: found a text, expected a list of 2 numbers"),
        ({"v": [1, 10**400]}, _VECTORS, 422, "at 1, expected a list of 2 numbers"),
    ],
)
def test_bad_requests_are_named(value: Any, described: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        _parse(value, described)
    assert caught.value.status == status
    assert message in caught.value.message
    assert len(caught.value.message) < 300
    assert caught.value.as_json() == {"error": {"status": status, "message": caught.value.message}}


def test_rows_that_overflow_are_named() -> None:
    check_finite([[0.5, 0.5]])
    with pytest.raises(RequestError, match="row 1: its numbers are too large for the model") as caught:
        check_finite([[0.5, 0.5], [float("nan")] * 2])
    assert caught.value.status == 422


def test_answers() -> None:
    parts = [[[0.1, 0.9], [0.3, 0.7]]]
    one = answer(_parse(_ROW), ["a", "b"], [], [[0.2, 0.8]], parts)
    assert one == {"class": 1, "probabilities": [0.2, 0.8], "parts": {"a": [0.1, 0.9], "b": [0.3, 0.7]}}
    many = answer(_parse({"rows": [_ROW]}), ["alone"], ["no", "yes"], [[0.8, 0.2]], [[[0.8, 0.2]]])
    assert many == {"rows": [{"class": 0, "name": "no", "probabilities": [0.8, 0.2]}]}
