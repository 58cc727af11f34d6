"""`raykd bench launch`: seconds until something happens, from the command's help to the first step on two workers.

"First step" is when the training loop has taken one and reports it: what came before is processes that start, imports,
tracing and compiling.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from raykd.artifacts import RunDirectory
from raykd.bench.cross_encoder import cross_encoder_job
from raykd.bench.examples import write_examples
from raykd.config import ScalingConfig, TrainingConfig
from raykd.data.shards import Manifest
from raykd.lane import Share
from raykd.lanes import Lanes
from raykd.schedule import Step
from raykd.train.job import TrainJob
from raykd.train.launch import launch

Seconds = dict[str, list[float]]
"""Of every repeat, by what was waited for."""

_FIRST_STEP = "first-step.json"
_COMMANDS = {
    "raykd --help": "import sys; sys.argv = ['raykd', '--help']; from raykd.cli import main; main()",
    "import raykd": "import raykd",
    "Ray started and ended": "from raykd.cluster import connect\nwith connect(None, False): pass",
}
_LANE = {"a lane, first step": "lane/first", "a warm lane, first step": "lane/second"}


@dataclass(frozen=True)
class Size:
    """What is trained: a cross-encoder over pairs of 64 tokens, for one step."""

    layers: int = 2
    width: int = 128
    batch_size: int = 64
    jit_compile: bool = True
    repeats: int = 3


def measure(size: Size, workers: Sequence[int], show: Callable[[str, float], None]) -> Seconds:
    """Wait for everything in turn, so many times. Needs Ray with as many CPUs as there are workers.

    Args: workers: numbers of them, each a case; show: gets each case's seconds as soon as they are known.
    """
    seconds: Seconds = {}
    for repeat in range(size.repeats):
        with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
            run = RunDirectory(folder)
            run.write_bytes("config.yaml", b"")  # By this a lane knows that it sees the folder.
            manifest = write_examples(run, {"train": size.batch_size, "validation": 16}, 64, shards=8)
            for case, value in _all_cases(run, size, manifest, workers):
                seconds.setdefault(case, []).append(value)
                show(f"{case}, repeat {repeat + 1} of {size.repeats}", value)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Over the repeats, by case."""
    return {case: statistics.median(values) for case, values in seconds.items()}


def _all_cases(
    run: RunDirectory, size: Size, manifest: Manifest, workers: Sequence[int]
) -> Iterator[tuple[str, float]]:
    for case, code in _COMMANDS.items():
        yield case, command(code)
    yield from _lane(run, size, manifest).items()
    for count in workers:
        yield f"{count} worker{'s' * (count > 1)}, first step", _on_workers(count, run, size, manifest)


def command(code: str) -> float:
    """Seconds of a Python process of its own."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def _lane(run: RunDirectory, size: Size, manifest: Manifest) -> dict[str, float]:
    """From a lane's start, and from the start of its second training, to the first step of each."""
    jobs = {case: _job(folder, size, manifest) for case, folder in _LANE.items()}
    steps = [Step(job.folder, "bench", partial(_train, job)) for job in jobs.values()]
    # The second needs the first, so that one lane does both.
    steps = [steps[0], replace(steps[1], needs=(steps[0].name,))]
    begun = time.time()
    lanes = Lanes(run, 1, Share(1), max_failures=0, verbose=False)
    times = lanes.perform(steps, _ignore, _nothing, lambda seconds: None)
    lanes.release()
    starts = (begun, times[1][1])
    return {case: _first_step(run, job) - start for (case, job), start in zip(jobs.items(), starts, strict=True)}


def _on_workers(workers: int, run: RunDirectory, size: Size, manifest: Manifest) -> float:
    job = _job(f"workers-{workers}", size, manifest)
    begun = time.time()
    launch(job, run, _Reached(run, job.folder), ScalingConfig(workers=workers))
    return _first_step(run, job) - begun


def _job(folder: str, size: Size, manifest: Manifest) -> TrainJob:
    """A training of one step."""
    training = TrainingConfig(epochs=1, batch_size=size.batch_size, jit_compile=size.jit_compile)
    return cross_encoder_job(folder, size.layers, size.width, manifest, training)


def _train(job: TrainJob, run: RunDirectory, report: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """A lane's step."""
    del report
    launch(job, run, _Reached(run, job.folder), ScalingConfig())
    return {}


@dataclass(frozen=True)
class _Reached:
    """Notes when the first step was taken, in whatever process it was."""

    run: RunDirectory
    folder: str

    def __call__(self, event: dict[str, Any]) -> None:
        """The loop reports its first call at once; this training has no second."""
        if event.get("kind") != "epoch":
            self.run.write_json(f"{self.folder}/{_FIRST_STEP}", {"unix_seconds": time.time()})


def _first_step(run: RunDirectory, job: TrainJob) -> float:
    at: float = run.read_json(f"{job.folder}/{_FIRST_STEP}")["unix_seconds"]
    return at


def _ignore(event: dict[str, Any]) -> None:
    """Nothing is shown while a lane works."""


def _nothing() -> None:
    """There is nothing to check."""
