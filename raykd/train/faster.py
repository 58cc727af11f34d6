"""The same steps in several ways, compiled by XLA or by TensorFlow's own kernels: a short trial finds the fastest."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_TIMED = 3  # calls of each way that count, after the first, which traces and compiles, and without shorter ones

Steps = Callable[[Any, Any], Any]
"""Takes batches and a number of steps; returns what they add up to, with the seconds `waited` for data."""


class Faster:
    """Takes steps in all ways by turns, until each has had its trial, and from then on in the fastest.

    The steps of the trial are the training's own, so none is lost.
    Args: ways: to take steps. sums: adds up float64 [n] over all workers, which
    all take the same steps and so agree on one way.
    """

    def __init__(self, ways: Sequence[Steps], sums: Callable[[Any], Any]) -> None:
        self.ways = ways
        self._sums = sums
        self._seconds: list[list[float]] = [[] for _ in ways]
        self._usual = 0
        self.chosen: int | None = None

    def __call__(self, batches: Any, count: Any) -> Any:
        """Take so many steps."""
        if self.chosen is not None:
            return self.ways[self.chosen](batches, count)
        self._usual = max(self._usual, int(count))
        way = min(range(len(self.ways)), key=lambda way: len(self._seconds[way]))
        begun = time.perf_counter()
        totals = self.ways[way](batches, count)
        waited = float(totals.waited)  # Also waits for the steps to end.
        if int(count) < self._usual:  # An epoch's end: its fewer steps cost more each, or are compiled on their own.
            return totals
        self._seconds[way].append((time.perf_counter() - begun - waited) / int(count))
        if len(self._seconds[-1]) > _TIMED:
            best = [min(seconds[1:]) for seconds in self._seconds]
            self.chosen = int(np.argmin(self._sums(np.array(best))))
        return totals
