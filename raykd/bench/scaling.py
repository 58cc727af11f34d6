"""`raykd bench scaling`: training with two workers beside what two cores can do at best.

The bound is two independent trainings at once, each pinned to one core: they share memory and caches as two
workers do, but never wait for each other.
"""

import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray

from raykd.artifacts import RunDirectory
from raykd.bench.cross_encoder import cross_encoder_job
from raykd.bench.examples import write_examples
from raykd.config import ScalingConfig, TrainingConfig
from raykd.data.shards import Manifest
from raykd.train.job import TrainJob
from raykd.train.launch import launch

LENGTH = 64
_WARM_EPOCHS = 2  # The first one compiles, and in the second one buffers still grow.


@dataclass(frozen=True)
class Size:
    """What is trained: a cross-encoder over pairs of 64 tokens."""

    layers: int = 4
    width: int = 256
    batch_size: int = 64
    steps: int = 8  # of an epoch; what lies between epochs does not count
    repeats: int = 3


Rates = dict[str, list[float]]
"""Examples per second of every repeat, by case."""


def measure(size: Size, show: Callable[[str, float], None]) -> Rates:
    """Train in every case, alternating. Needs Ray with two CPUs.

    Args: show: gets each case's rate as soon as it is known.
    """
    rates: Rates = {case: [] for case in _CASES}
    for repeat in range(size.repeats):
        with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
            run = RunDirectory(folder)
            rows = {"train": size.batch_size * size.steps, "validation": 16}
            manifest = write_examples(run, rows, LENGTH, shards=8)
            for case, measured in _CASES.items():
                rate = measured(run, size, manifest)
                rates[case].append(rate)
                show(f"{case}, repeat {repeat + 1} of {size.repeats}", rate)
    return rates


def summary(rates: Rates) -> dict[str, float]:
    """Medians, and how near two workers come to the bound and to twice one worker."""
    medians = {case: statistics.median(values) for case, values in rates.items()}
    return {
        **medians,
        "2 workers over bound": medians["2 workers"] / medians["bound"],
        "2 workers over 1 worker": medians["2 workers"] / medians["1 worker"],
    }


def _job(folder: str, size: Size, manifest: Manifest, batch_size: int) -> TrainJob:
    training = TrainingConfig(epochs=_WARM_EPOCHS + 2, batch_size=batch_size, learning_rate=1e-4)
    return cross_encoder_job(folder, size.layers, size.width, manifest, training)


def _on_workers(workers: int, run: RunDirectory, size: Size, manifest: Manifest) -> float:
    job = _job(f"workers-{workers}", size, manifest, size.batch_size)
    launch(job, run, _ignore, ScalingConfig(workers=workers))
    return _rate(run, job.folder)


def _bound(run: RunDirectory, size: Size, manifest: Manifest) -> float:
    cores = sorted(os.sched_getaffinity(0))[:2]
    trainers = [ray.remote(num_cpus=1)(_Pinned).remote(core) for core in cores]
    jobs = [_job(f"alone-{core}", size, manifest, size.batch_size // 2) for core in cores]
    ray.get([trainer.train.remote(job, run) for trainer, job in zip(trainers, jobs, strict=True)])
    return sum(_rate(run, job.folder) for job in jobs)


_CASES: dict[str, Callable[[RunDirectory, Size, Manifest], float]] = {
    "1 worker": partial(_on_workers, 1),
    "2 workers": partial(_on_workers, 2),
    "bound": _bound,
}


class _Pinned:
    """Trains in its own process, on one core."""

    def __init__(self, core: int) -> None:
        from raykd.train.strategy import use_threads

        os.sched_setaffinity(0, {core})
        use_threads(1)

    def train(self, job: TrainJob, run: RunDirectory) -> None:
        """Train to the end."""
        launch(job, run, _ignore, ScalingConfig())


def _rate(run: RunDirectory, folder: str) -> float:
    """Examples per second of the epochs that count."""
    later = run.read_json(f"{folder}/history.json")[_WARM_EPOCHS:]
    rate: float = statistics.median(epoch["examples_per_second"] for epoch in later)
    return rate


def _ignore(event: dict[str, Any]) -> None:
    """Nothing is shown while a training runs."""
