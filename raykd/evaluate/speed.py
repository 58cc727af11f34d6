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

_ROUNDS = 5  # in which everything has its turn: a core that is slow for a while is so for all
_SECONDS = 0.04  # of a turn, at least
_REPEATS = 3  # do for what takes longer
_LOOK_SECONDS = 0.05  # at the cores

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
    """Sizes and speeds of models, all on the same rows in this process, in turn.

    They depend on what a model is, not on its weights: models that are built alike are measured once.
    Args: specs: what each model is, by folder; batch: inputs [rows, length]; together: the folders of every model and
    ensemble that is compared.
    """

    def __init__(
        self,
        specs: Mapping[str, ModelSpec],
        predictors: Mapping[str, Predictor],
        batch: NDArray[Any],
        together: Sequence[Sequence[str]],
    ) -> None:
        self._specs = specs
        self._batch = batch
        calls: dict[Any, Callable[[], Any]] = {}
        for folders in together:
            members = [predictors[folder] for folder in folders]
            for rows in (len(batch), 1):
                calls[rows, self._key(folders)] = partial(_predict, members, batch[:rows])
            for folder in folders:
                for rows in other_batches():
                    inputs = np.resize(batch, (rows, *batch.shape[1:]))  # Rows of the batch, again and again.
                    calls[rows, self._key([folder])] = partial(_predict, [predictors[folder]], inputs)
        self._times = _times(calls)
        alike = {spec.key: spec for spec in specs.values()}
        self._parameters = {key: count_parameters(spec) for key, spec in alike.items()}

    @property
    def conditions(self) -> dict[str, Any]:
        """Under which the times hold: threads (0: as many as TensorFlow likes), common and tried batch sizes."""
        return {
            "threads": tf.config.threading.get_intra_op_parallelism_threads(),
            "timing_batch": len(self._batch),
            "batches_tried": sorted({len(self._batch), *other_batches()}),
        }

    def costs(self, folders: Sequence[str]) -> dict[str, float | None]:
        """Of these models, one after the other; None where there is none: an external teacher's are unknown.

        Returns: `parameters`, `bytes`; medians: `examples_per_second` of the batch, `latency_ms_p50` of a single row;
        `latency_ms_p95`; as `best_batch`.
        """
        if not folders:
            return dict.fromkeys(_COSTS)
        parameters = sum(self._parameters[self._specs[folder].key] for folder in folders)
        rows, single = len(self._batch), self._times[1, self._key(folders)]
        speed = rows / float(np.median(self._times[rows, self._key(folders)]))
        others = [
            {other: float(np.median(self._times[other, self._key([folder])])) for other in other_batches()}
            for folder in folders
        ]
        return {
            "parameters": parameters,
            "bytes": parameters * _BYTES_PER_PARAMETER,
            "examples_per_second": speed,
            "latency_ms_p50": 1000 * float(np.median(single)),
            "latency_ms_p95": 1000 * float(np.quantile(single, 0.95)),
            **best_batch({rows: speed}, others),
        }

    def _key(self, folders: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(self._specs[folder].key for folder in folders))


def _predict(members: Sequence[Predictor], inputs: NDArray[Any]) -> None:
    for member in members:
        member.batch(inputs)


def _times(calls: Mapping[Any, Callable[[], Any]]) -> dict[Any, list[float]]:
    """Seconds of every call, after warming up."""
    times: dict[Any, list[float]] = {key: [] for key in calls}
    with _on_cores(tf.config.threading.get_intra_op_parallelism_threads()):
        for call in calls.values():
            call()
        for _ in range(_ROUNDS):
            for key, call in calls.items():
                if len(times[key]) >= _REPEATS and sum(times[key]) >= _ROUNDS * _SECONDS:
                    continue
                turn = 0.0
                while turn < _SECONDS:
                    begun = time.perf_counter()
                    call()
                    times[key].append(time.perf_counter() - begun)
                    turn += times[key][-1]
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
