"""The training that `raykd bench scaling` and `raykd bench launch` time: a cross-encoder on hard labels."""

from raykd.config import CrossEncoderConfig, DataConfig, TrainingConfig
from raykd.data.shards import Manifest
from raykd.losses import Objective
from raykd.models.build import ModelSpec
from raykd.train.job import TrainJob


def cross_encoder_job(folder: str, layers: int, width: int, manifest: Manifest, training: TrainingConfig) -> TrainJob:
    """Without dropout, and without a choice of the best epoch."""
    config = CrossEncoderConfig(type="cross_encoder", layers=layers, width=width, dropout=0.0)
    return TrainJob(
        folder=folder,
        model=ModelSpec(config, manifest.inputs, manifest.classes),
        training=training,
        seed=0,
        splits=("train",),
        objective=Objective(),
        alpha=0.0,
        temperature=1.0,
        data=DataConfig(),
        keep_best=False,
    )
