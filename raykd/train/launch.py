"""Launching a training through Ray Train's TensorflowTrainer: in this process, or on a group of workers."""

import json
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, TrainingFailedError
from ray.train.tensorflow import TensorflowTrainer

from raykd.artifacts import RunDirectory
from raykd.config import ScalingConfig
from raykd.data.shards import read_manifest
from raykd.errors import InputError
from raykd.train.backend import Workers
from raykd.train.checkpoint import reached
from raykd.train.job import Report, TrainJob
from raykd.train.nodes import lost_nodes, lost_since
from raykd.train.parcel import Parcel
from raykd.train.strategy import Place, strategy_named, use_own_devices, use_threads

_REPORT_SECONDS = 10.0
_RAY_TRAIN = "ray_train"  # Ray Train's own records, while a training runs on workers
_ERRORS: dict[str, type[Exception]] = {kind.__name__: kind for kind in (InputError, FloatingPointError)}


def launch(job: TrainJob, run: RunDirectory, report: Report, scaling: ScalingConfig) -> None:
    """Train where the configuration says; publish weights and history in the job's folder.

    Raises: what `train` raises; ray.train.TrainingFailedError when workers keep dying.
    """
    launch_all([job], run, report, scaling)


def launch_all(jobs: Sequence[TrainJob], run: RunDirectory, report: Report, scaling: ScalingConfig) -> None:
    """As `launch`, for trainings one after the other: on workers all by one group, which starts and compiles once."""
    if scaling.strategy == "parameter_server":
        from raykd.train.parameter_server import train_on_parameter_servers

        for job in jobs:
            train_on_parameter_servers(job, run, report, scaling)
    elif scaling.most_workers:
        _on_workers(jobs, run, report, scaling)
    else:
        _in_process(jobs, run, report, scaling)


def _in_process(jobs: Sequence[TrainJob], run: RunDirectory, report: Report, scaling: ScalingConfig) -> None:
    """TensorflowTrainer with no workers, which costs no start-up.

    Checkpoints are raykd's own, since Ray's local mode keeps its own in memory only.
    """
    from raykd.train.loop import train

    here = "mirrored" if scaling.gpus_per_worker > 1 else "one_device"
    alone = here if scaling.strategy == "multi_worker_mirrored" else scaling.strategy

    def train_loop(_: dict[str, Any]) -> None:
        place = Place(strategy_named(alone), profiles=scaling.profile)
        for job in jobs:
            train(job, run, read_manifest(run), place, report)

    trainer = TensorflowTrainer(
        train_loop,
        train_loop_config={},
        scaling_config=ray.train.ScalingConfig(num_workers=0),
        run_config=RunConfig(name=jobs[0].folder.replace("/", "-")),
    )
    trainer.fit()


def _on_workers(jobs: Sequence[TrainJob], run: RunDirectory, report: Report, scaling: ScalingConfig) -> None:
    """On a group of workers, and on another where it failed for the last time and a node has been lost meanwhile.

    Ray counts such a loss as a failure, unless it was announced; on spot machines a long training has many. Another
    group begins only where this one has made steps, so that a loss that comes of the training itself ends it.
    """
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # The paths of presets and saved models may be relative.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # Ray's 2 s pass at every training's end.
    failure = _Failure(run, f"{jobs[0].folder}/failure.json")
    failure.clear()
    while True:
        lost, before = lost_nodes(), _reached(jobs, run)
        # A name of its own: under an earlier one Ray would take up that training's records.
        name = f"{jobs[0].folder.replace('/', '-')}-{uuid.uuid4().hex[:8]}"
        try:
            _group(name, jobs, run, report, scaling, failure).fit()
        except TrainingFailedError:
            failure.raise_if_any()
            if _reached(jobs, run) == before or not lost_since(lost):
                raise
            run.delete_folder(f"{_RAY_TRAIN}/{name}")
            report({"kind": "restarted", "lost": True, "workers": True})
        else:
            failure.raise_if_any()
            run.delete_folder(f"{_RAY_TRAIN}/{name}")
            return


def _reached(jobs: Sequence[TrainJob], run: RunDirectory) -> list[int]:
    return [reached(run, job.folder) for job in jobs]


def _group(
    name: str,
    jobs: Sequence[TrainJob],
    run: RunDirectory,
    report: Report,
    scaling: ScalingConfig,
    failure: "_Failure",
) -> TensorflowTrainer:
    resources = {"CPU": float(scaling.cpus_per_worker), "GPU": float(scaling.gpus_per_worker)}
    return TensorflowTrainer(
        Parcel.of(_Work(jobs, run, report, scaling, failure)).__call__,
        tensorflow_config=Workers(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=scaling.workers, use_gpu=scaling.gpus_per_worker > 0, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=name,
            storage_path=run.path(_RAY_TRAIN),
            storage_filesystem=None if run.is_local else run.filesystem,
            failure_config=FailureConfig(max_failures=scaling.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )


@dataclass(frozen=True)
class _Failure:
    """What stopped a training for good, told by a worker: Ray would start the workers again."""

    run: RunDirectory
    path: str

    def clear(self) -> None:
        self.run.delete(self.path)

    def tell(self, error: Exception) -> None:
        self.run.write_json(self.path, {"error": type(error).__name__, "message": str(error)})

    def told(self) -> bool:
        return self.run.exists(self.path)

    def raise_if_any(self) -> None:
        if self.told():
            found = self.run.read_json(self.path)
            raise _ERRORS[found["error"]](found["message"])


@dataclass(frozen=True)
class _Work:
    """What each worker does."""

    jobs: Sequence[TrainJob]
    run: RunDirectory
    report: Report
    scaling: ScalingConfig
    failure: _Failure

    def __call__(self) -> None:
        if self.failure.told():
            return
        use_own_devices()
        use_threads(self.scaling.cpus_per_worker)
        from raykd.train.loop import train

        context = ray.train.get_context()
        rank = context.get_world_rank()
        profiles = self.scaling.profile and rank == 0
        place = Place(strategy_named(self.scaling.strategy), rank, context.get_world_size(), profiles=profiles)
        place = replace(place, published=_Publisher(self.run, place))
        report = self.report if rank == 0 else _no_report
        try:
            for job in self.jobs:
                train(job, self.run, read_manifest(self.run), place, report)
        except FloatingPointError as error:
            self.failure.tell(error)  # All workers have seen it: they end together, and none is started again.
        except InputError as error:
            self.failure.tell(error)
            raise  # The others may not have: Ray ends them.


class _Publisher:
    """Tells Ray Train of checkpoints. It takes them now and then, and holds the workers until it does: few."""

    def __init__(self, run: RunDirectory, place: Place) -> None:
        self._run = run
        self._place = place
        self._reported = time.monotonic()

    def __call__(self, path: str, figures: dict[str, Any]) -> None:
        """Report, if it is time by rank 0's clock: Ray Train waits for every worker."""
        due = self._place.rank == 0 and time.monotonic() - self._reported > _REPORT_SECONDS
        if not self._place.sum_over_workers(np.array([float(due)]))[0]:
            return
        self._reported = time.monotonic()
        if self._place.rank:
            ray.train.report(figures)
            return
        # A pointer: the checkpoint is in its place already.
        with tempfile.TemporaryDirectory() as folder:
            pointer = {"checkpoint": self._run.path(path)}
            (Path(folder) / "pointer.json").write_text(json.dumps(pointer))
            ray.train.report(figures, checkpoint=Checkpoint.from_directory(folder))


def _no_report(event: dict[str, Any]) -> None:
    """Rank 0 speaks for all."""
