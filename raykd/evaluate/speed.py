"""Speed of a model, or of an ensemble's members one after the other, in this process and on its threads."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
import psutil
import tensorflow as tf
from numpy.typing import NDArray

from raykd.models.build import ModelSpec, count_parameters
from raykd.train.predict import Predictor

_SECONDS = 0.4  # of measuring, at least
_REPEATS = 5  # at least
_LOOK_SECONDS = 0.05  # at the cores
_SEARCH_SECONDS = 0.1  # of measuring each other batch size, or so often:
_SEARCH_REPEATS = 3

_BYTES_PER_PARAMETER = 4
_COSTS = (
    "parameters",
    "bytes",
    "examples_per_second",
    "latency_ms_p50",
    "latency_ms_p95",
    "best_batch",
    "best_batch_examples_per_second",
)

_ON_PROCESSORS = (32,)  # Their caches favour small batches.
_ON_ACCELERATORS = (32, 1024)


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


def seconds_per_batch(member: Predictor, batch: NDArray[Any]) -> dict[int, float]:
    """Median seconds of a call, by batch size other than the common one, which rows of `batch` fill again and again."""
    found = {}
    for size in other_batches():
        inputs = np.resize(batch, (size, *batch.shape[1:]))
        found[size] = float(np.median(_times(partial(member.batch, inputs), _SEARCH_SECONDS, _SEARCH_REPEATS)))
    return found


def other_batches() -> tuple[int, ...]:
    """Batch sizes tried beside the common one. Each takes its time, so there are few."""
    return _ON_ACCELERATORS if tf.config.list_logical_devices("GPU") else _ON_PROCESSORS


def best_batch(compared: Mapping[int, float], others: Sequence[Mapping[int, float]]) -> dict[str, float]:
    """The batch size at which members, one after the other, predict the most examples per second.

    Args: compared: examples per second at the common batch size; others: seconds of each member, by batch size.
    """
    speeds = {size: size / sum(member[size] for member in others) for size in others[0]} | dict(compared)
    best = max(speeds, key=lambda size: speeds[size])
    return {"best_batch": best, "best_batch_examples_per_second": speeds[best]}


class Clock:
    """Sizes and speeds of models, all on the same rows in this process.

    They depend on what a model is, not on its weights: models that are built alike are measured once.
    Args: specs: what each model is, by folder; batch: as `speed` takes it.
    """

    def __init__(
        self, specs: Mapping[str, ModelSpec], predictors: Mapping[str, Predictor], batch: NDArray[Any]
    ) -> None:
        self._specs = specs
        self._predictors = predictors
        self._batch = batch
        self._speeds: dict[tuple[str, ...], dict[str, float]] = {}
        self._seconds: dict[str, dict[int, float]] = {}
        self._parameters: dict[str, int] = {}

    @property
    def conditions(self) -> dict[str, Any]:
        """Under which the times hold: threads (0: as many as TensorFlow likes), common and tried batch sizes."""
        return {
            "threads": tf.config.threading.get_intra_op_parallelism_threads(),
            "timing_batch": len(self._batch),
            "batches_tried": sorted({len(self._batch), *other_batches()}),
        }

    def costs(self, folders: Sequence[str]) -> dict[str, float | None]:
        """Of these models one after the other; None where there is none: an external teacher's are unknown."""
        if not folders:
            return dict.fromkeys(_COSTS)
        parameters = sum(self._parameters_of(folder) for folder in folders)
        timed = self._speed_of(folders)
        compared = {len(self._batch): timed["examples_per_second"]}
        best = best_batch(compared, [self._seconds_of(folder) for folder in folders])
        return {"parameters": parameters, "bytes": parameters * _BYTES_PER_PARAMETER, **timed, **best}

    def _speed_of(self, folders: Sequence[str]) -> dict[str, float]:
        keys = tuple(sorted(self._specs[folder].key for folder in folders))
        if keys not in self._speeds:
            self._speeds[keys] = speed([self._predictors[folder] for folder in folders], self._batch)
        return self._speeds[keys]

    def _parameters_of(self, folder: str) -> int:
        spec = self._specs[folder]
        if spec.key not in self._parameters:
            self._parameters[spec.key] = count_parameters(spec)
        return self._parameters[spec.key]

    def _seconds_of(self, folder: str) -> dict[int, float]:
        key = self._specs[folder].key
        if key not in self._seconds:
            self._seconds[key] = seconds_per_batch(self._predictors[folder], self._batch)
        return self._seconds[key]


def _times(call: Callable[[], Any], seconds: float = _SECONDS, repeats: int = _REPEATS) -> list[float]:
    times: list[float] = []
    with _on_cores(tf.config.threading.get_intra_op_parallelism_threads()):
        call()
        while len(times) < repeats or sum(times) < seconds:
            begun = time.perf_counter()
            call()
            times.append(time.perf_counter() - begun)
    return times


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    """Keep this process on so many cores, the least busy; 0: on all.

    TensorFlow computes operations that don't depend on each other, such as both directions of a BiLSTM, side by side,
    however few threads each of them has. Where threads can't be kept on cores (macOS), they stay free.
    """
    if not count or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    busy = psutil.cpu_percent(_LOOK_SECONDS, percpu=True)
    _move_threads(set(sorted(allowed, key=lambda core: busy[core])[:count]))
    try:
        yield
    finally:
        _move_threads(allowed)


def _move_threads(cores: set[int]) -> None:
    for thread in psutil.Process().threads():
        with suppress(ProcessLookupError):  # It has ended.
            os.sched_setaffinity(thread.id, cores)
