"""Training on workers through Ray Train: faults end it with a reason, or cost at most one checkpoint's interval."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from small import ignore, small_job, write_examples

from raykd.artifacts import RunDirectory
from raykd.config import CustomModelConfig, ScalingConfig, TrainingConfig
from raykd.data.shards import Manifest
from raykd.train.checkpoint import checkpoints_in, load_weights, step_of
from raykd.train.job import TrainJob
from raykd.train.launch import launch, launch_all

TWO = ScalingConfig(workers=2)

TRAIN = """
import sys
from small import ignore
from test_launch import long_job
from raykd.artifacts import RunDirectory
from raykd.cluster import connect
from raykd.config import ScalingConfig
from raykd.train.launch import launch

with connect(None, verbose=False):
    launch(long_job("killed"), RunDirectory(sys.argv[1]), ignore, ScalingConfig())
"""


def long_job(folder: str) -> TrainJob:
    """200 epochs of five steps, with a checkpoint after every third step."""
    training = TrainingConfig(
        epochs=200, batch_size=16, learning_rate=0.01, patience=200, jit_compile=False, steps_per_call=2,
        checkpoint_steps=3,
    )  # fmt: skip
    return small_job(folder, training=training, keep_best=False)


def _stages(folder: str) -> list[TrainJob]:
    """A long training and a short one that goes on with its weights."""
    return [long_job(folder), small_job(f"{folder}-later", initial=folder, keep_best=False)]


def _assert_same_weights(run: RunDirectory, killed: str = "killed", whole: str = "whole") -> None:
    for found, expected in zip(*(load_weights(run, folder) for folder in (killed, whole)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_two_workers_stop_at_a_wild_loss_with_step_and_checkpoint(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    # The rate rises from 0, so some steps pass before it is too large.
    wild = TrainingConfig(
        epochs=6, batch_size=16, learning_rate=1e38, warmup=1.0, optimizer="sgd", clip_norm=1e30,
        jit_compile=False, steps_per_call=2, checkpoint_steps=1,
    )  # fmt: skip
    with pytest.raises(FloatingPointError) as caught:
        launch(small_job("wild", training=wild), run_directory, ignore, TWO.model_copy(update={"max_failures": 0}))
    [kept] = checkpoints_in(run_directory, "wild")
    expected = f"no longer finite at step {step_of(kept) + 1}; the last good checkpoint is {run_directory.path(kept)}"
    assert expected in str(caught.value)


@dataclass(frozen=True)
class _TellPid:
    """Rank 0's reporter: writes its process number where the test finds it."""

    path: str

    def __call__(self, event: dict[str, Any]) -> None:
        Path(self.path).write_text(str(os.getpid()))


def _wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _kill_rank_1(run: RunDirectory, folder: str, pid_file: Path, killed: list[int]) -> None:
    """SIGKILL the worker that isn't rank 0, in the middle of an epoch."""
    _wait_for(lambda: checkpoints_in(run, folder) and pid_file.exists() and pid_file.read_text())
    first = psutil.Process(int(pid_file.read_text()))
    workers = [process for process in first.parent().children() if "RayTrainWorker" in "".join(process.cmdline())]
    [second] = [worker.pid for worker in workers if worker.pid != first.pid]
    os.kill(second, signal.SIGKILL)
    killed.append(second)


@pytest.mark.slow
def test_killed_worker_costs_one_checkpoint_interval(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest, tmp_path: Path
) -> None:
    launch_all(_stages("whole"), run_directory, ignore, TWO)
    killed: list[int] = []
    pid_file = tmp_path / "pid"
    killer = threading.Thread(target=_kill_rank_1, args=(run_directory, "killed", pid_file, killed))
    killer.start()
    launch_all(_stages("killed"), run_directory, _TellPid(str(pid_file)), TWO)
    killer.join()
    assert len(killed) == 1
    assert len(run_directory.read_json("killed/history.json")) == 200
    _assert_same_weights(run_directory)
    _assert_same_weights(run_directory, "killed-later", "whole-later")


@pytest.mark.slow
def test_run_killed_at_a_random_step_resumes_to_the_same_weights(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.at(str(tmp_path), "run")
    write_examples(run)
    launch(long_job("whole"), run, ignore, ScalingConfig())
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    steps = np.random.default_rng(0).integers(10, 800)
    command = [sys.executable, "-c", TRAIN, run.root]
    process = subprocess.Popen(command)
    _wait_for(lambda: any(step_of(path) >= steps for path in checkpoints_in(run, "killed")))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not run.exists("killed/history.json")
    subprocess.run(command, check=True, timeout=120)
    _assert_same_weights(run)


@pytest.mark.slow
def test_as_many_workers_as_there_is_room_for_agree_on_one_way(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    job = small_job("elastic", keep_best=False)
    tried = job.training.model_copy(update={"jit_compile": "auto", "precision": "auto", "epochs": 12})
    # XLA can't compile its averages over two workers: what is tried are two precisions.
    model = replace(job.model, config=CustomModelConfig(type="bodies:batch_normalised"))
    launch(replace(job, training=tried, model=model), run_directory, ignore, ScalingConfig(workers=(1, 2)))
    history = run_directory.read_json("elastic/history.json")
    assert len(history) == 12
    assert max(epoch["validation_accuracy"] for epoch in history) > 0.85
