"""Another try where an object store failed for the moment: pyarrow repeats most requests itself, but not all.

Reader: the run directory. A short read that is answered with an error is one that pyarrow gives up: the error's text
doesn't fit where the few bytes were to go.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

_PASSING = (
    "AWS Error SLOW_DOWN",
    "AWS Error INTERNAL_FAILURE",
    "AWS Error SERVICE_UNAVAILABLE",
    "AWS Error NETWORK_CONNECTION",
    "AWS Error REQUEST_TIMEOUT",
    "AWS Error THROTTLING",
    "AWS Error UNKNOWN (HTTP status 5",
)
_WAITS = (
    0.1,
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
)  # seconds, each up to half as long again: callers don't come back as one

Result = TypeVar("Result")


def passes(error: OSError) -> bool:
    """Whether the store said that it would do later; not where there is no such key, bucket or permission."""
    return not isinstance(error, FileNotFoundError) and any(text in str(error) for text in _PASSING)


def retried(call: Callable[[], Result]) -> Result:
    """What the call returns, after up to six more tries in about 20 seconds. It may be called again safely.

    Raises: its last error; any other at once.
    """
    for wait in _WAITS:
        try:
            return call()
        except OSError as error:
            if not passes(error):
                raise
        time.sleep(wait * random.uniform(1.0, 1.5))
    return call()
