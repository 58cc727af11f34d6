"""Speed of a model, or of an ensemble's members one after the other, in this process and on its threads."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.train.predict import Predictor

_SECONDS = 0.4  # of measuring, at least
_REPEATS = 5  # at least


def speed(members: Sequence[Predictor], batch: NDArray[Any]) -> dict[str, float]:
    """Medians after warming up.

    Args: batch: inputs [rows, length], the same for every model that is compared.
    Returns: `examples_per_second` at that batch, `latency_ms_p50` and `latency_ms_p95` at batch 1.
    """
    whole = _times(lambda: [member.batch(batch) for member in members])
    single = _times(lambda: [member.batch(batch[:1]) for member in members])
    return {
        "examples_per_second": len(batch) / float(np.median(whole)),
        "latency_ms_p50": 1000 * float(np.median(single)),
        "latency_ms_p95": 1000 * float(np.quantile(single, 0.95)),
    }


def _times(call: Callable[[], Any]) -> list[float]:
    call()
    times: list[float] = []
    while len(times) < _REPEATS or sum(times) < _SECONDS:
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return times
