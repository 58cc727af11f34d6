"""The same steps in several ways, compiled by XLA or by TensorFlow's own kernels: a short trial finds the fastest."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_TIMED = 3  # calls of each way that count: of each size not the first, which traces and compiles

Steps = Callable[[Any, Any], Any]
"""Takes batches and a number of steps; returns what they add up to, with the seconds `waited` for data."""


class Faster:
    """Takes steps in all ways by turns, until each has had its trial, and from then on in the fastest.

    The steps of the trial are the training's own, so none is lost. All ways get calls of the same sizes: an epoch's
    last one is smaller, and dearer by the step.
    Args: ways: to take steps. sums: adds up float64 [n] over all workers, which
    all take the same steps and so agree on one way.
    """

    def __init__(self, ways: Sequence[Steps], sums: Callable[[Any], Any]) -> None:
        self.ways = ways
        self._sums = sums
        self._calls = Counter[tuple[int, int]]()  # of each way, by their size
        self._seconds: list[list[float]] = [[] for _ in ways]
        self.chosen: int | None = None

    def __call__(self, batches: Any, count: Any) -> Any:
        """Take so many steps."""
        if self.chosen is not None:
            return self.ways[self.chosen](batches, count)
        size = int(count)
        way = min(range(len(self.ways)), key=lambda one: self._calls[one, size])
        begun = time.perf_counter()
        totals = self.ways[way](batches, count)
        waited = float(totals.waited)  # Also waits for the steps to end.
        if self._calls[way, size]:
            self._seconds[way].append((time.perf_counter() - begun - waited) / size)
        self._calls[way, size] += 1
        if all(len(seconds) >= _TIMED for seconds in self._seconds):
            best = [min(seconds) for seconds in self._seconds]
            self.chosen = int(np.argmin(self._sums(np.array(best))))
        return totals
