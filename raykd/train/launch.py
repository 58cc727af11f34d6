"""Launching a training through Ray Train's TensorflowTrainer."""

from typing import Any

from ray.train import RunConfig, ScalingConfig
from ray.train.tensorflow import TensorflowTrainer

from raykd.artifacts import RunDirectory
from raykd.data.shards import read_manifest
from raykd.train.job import Report, TrainJob
from raykd.train.loop import train
from raykd.train.strategy import one_device


def launch(job: TrainJob, run: RunDirectory, report: Report) -> None:
    """Train in this process: TensorflowTrainer with no workers, which costs no start-up.

    Checkpoints are raykd's own, since Ray's local mode keeps its own in memory only.
    """

    def train_loop(_: dict[str, Any]) -> None:
        train(job, run, read_manifest(run), one_device(), report)

    trainer = TensorflowTrainer(
        train_loop,
        train_loop_config={},
        scaling_config=ScalingConfig(num_workers=0),
        run_config=RunConfig(name=job.folder.replace("/", "-")),
    )
    trainer.fit()
