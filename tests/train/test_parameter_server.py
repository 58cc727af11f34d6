"""Asynchronous training on parameter servers: learns as on one device, and outlives what dies."""

import os
import signal
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from small import ignore, small_job

from raykd.artifacts import RunDirectory
from raykd.config import ScalingConfig, TrainingConfig
from raykd.data.ingest import ingest
from raykd.data.reader import Reader
from raykd.data.shards import Manifest
from raykd.distill.stages import teacher_job
from raykd.loading import load_config
from raykd.train.checkpoint import checkpoints_in, load_weights
from raykd.train.job import TrainJob
from raykd.train.launch import launch
from raykd.train.predict import Predictor, probabilities_of

ASYNCHRONOUS = ScalingConfig(workers=2, strategy="parameter_server")


@pytest.mark.slow
def test_trains_digits_within_a_point_of_one_device(local_ray: None, run_directory: RunDirectory) -> None:
    config = load_config("digits", ["data.labelled=null", "data.test=0.5"])
    manifest = ingest(run_directory, config.data, seed=0, tasks=1)
    accuracy: dict[str, list[float]] = {"one": [], "several": []}
    for teacher in config.teachers:
        job = teacher_job(config, teacher.name, manifest)
        whole = job.training.model_copy(update={"patience": job.training.epochs})  # An early stop would be luck.
        for folder, scaling in (("one", ScalingConfig()), ("several", ASYNCHRONOUS)):
            own = replace(job, training=whole, folder=f"{folder}/{teacher.name}")
            launch(own, run_directory, ignore, scaling)
            accuracy[folder].append(_held_out_accuracy(run_directory, manifest, own, own.folder))
    # Asynchronous weights differ from run to run, a single model's accuracy by a point: the mean says more.
    one, several = (float(np.mean(accuracy[folder])) for folder in ("one", "several"))
    assert one > 0.9
    assert several == pytest.approx(one, abs=0.01)


def _held_out_accuracy(run: RunDirectory, manifest: Manifest, job: TrainJob, folder: str) -> float:
    shards = list(Reader(run, manifest.of("test"), manifest.inputs).all())
    rows = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    predictor = Predictor(job.model, load_weights(run, folder))
    return float((probabilities_of(predictor.logits(rows)).argmax(-1) == rows["label"]).mean())


@pytest.mark.slow
def test_wild_loss_stops_with_the_step(local_ray: None, run_directory: RunDirectory, manifest: Manifest) -> None:
    wild = TrainingConfig(epochs=6, batch_size=16, learning_rate=1e38, jit_compile=False, steps_per_call=2)
    with pytest.raises(FloatingPointError, match=r"wild: the loss is no longer finite at step \d+; "):
        launch(small_job("wild", training=wild), run_directory, ignore, ASYNCHRONOUS)


@dataclass(frozen=True)
class _TellPid:
    """The coordinator's reporter: writes its process number where the test finds it."""

    path: str

    def __call__(self, event: dict[str, Any]) -> None:
        Path(self.path).write_text(str(os.getpid()))


def _kill_a_server(run: RunDirectory, folder: str, pid_file: Path, killed: list[int]) -> None:
    """SIGKILL one of the servers when the first checkpoint is there."""
    deadline = time.monotonic() + 120
    while not (checkpoints_in(run, folder) and pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    siblings = psutil.Process(int(pid_file.read_text())).parent().children()
    servers = [process.pid for process in siblings if "ray::Server.stay" in "".join(process.cmdline())]
    os.kill(servers[0], signal.SIGKILL)
    killed.append(servers[0])


@pytest.mark.slow
def test_goes_on_from_the_last_checkpoint_when_a_process_dies(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest, tmp_path: Path
) -> None:
    training = TrainingConfig(epochs=60, batch_size=16, learning_rate=0.01, jit_compile=False, checkpoint_steps=4)
    job = small_job("killed", training=training, keep_best=False)
    killed: list[int] = []
    pid_file = tmp_path / "pid"
    killer = threading.Thread(target=_kill_a_server, args=(run_directory, "killed", pid_file, killed))
    killer.start()
    launch(job, run_directory, _TellPid(str(pid_file)), ASYNCHRONOUS)
    killer.join()
    assert killed
    history = run_directory.read_json("killed/history.json")
    assert [epoch["epoch"] for epoch in history] == list(range(60))
    assert max(epoch["validation_accuracy"] for epoch in history) > 0.85
