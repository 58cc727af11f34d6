"""Which failures of an object store are tried again."""

from types import SimpleNamespace

import pytest

from raykd import retries
from raykd.retries import passes, retried


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("AWS Error SLOW_DOWN during PutObject operation: x"), True),
        (OSError("AWS Error INTERNAL_FAILURE during GetObject operation: Failed to flush response stream"), True),
        (OSError("AWS Error UNKNOWN (HTTP status 503) during HeadObject operation: No response body."), True),
        (OSError("AWS Error UNKNOWN (HTTP status 400) during HeadObject operation: No response body."), False),
        (OSError("AWS Error ACCESS_DENIED during PutObject operation: Access Denied"), False),
        (OSError("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation"), False),
        (FileNotFoundError("AWS Error NETWORK_CONNECTION"), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_what_passes(error: OSError, expected: bool) -> None:
    assert passes(error) is expected


def _failing(times: int, error: OSError) -> tuple[list[int], "object"]:
    calls: list[int] = []

    def call() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            raise error
        return "done"

    return calls, call


@pytest.mark.parametrize(("failures", "calls_made"), [(0, 1), (3, 4), (6, 7)])
def test_a_passing_failure_is_tried_again(failures: int, calls_made: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(retries, "time", SimpleNamespace(sleep=waits.append))
    calls, call = _failing(failures, OSError("AWS Error SLOW_DOWN"))
    assert retried(call) == "done"  # type: ignore[arg-type]
    assert len(calls) == calls_made
    assert waits == sorted(waits)
    assert all(low <= wait <= 1.5 * low for low, wait in zip(retries._WAITS, waits, strict=False))


def test_the_seventh_failure_and_any_other_error_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "time", SimpleNamespace(sleep=lambda seconds: None))
    calls, call = _failing(99, OSError("AWS Error SLOW_DOWN"))
    with pytest.raises(OSError, match="SLOW_DOWN"):
        retried(call)  # type: ignore[arg-type]
    assert len(calls) == 7
    calls, call = _failing(99, OSError("AWS Error ACCESS_DENIED"))
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        retried(call)  # type: ignore[arg-type]
    assert len(calls) == 1
