"""Asynchronous training on parameter servers learns as well as on one device."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small import ignore

from raykd.artifacts import RunDirectory
from raykd.config import Config, ScalingConfig
from raykd.data.feed import Reader
from raykd.data.shards import read_manifest
from raykd.distill.stages import teacher_job
from raykd.train.checkpoint import load_weights
from raykd.train.job import TrainJob
from raykd.train.launch import launch
from raykd.train.predict import Predictor, probabilities_of


@pytest.mark.slow
def test_trains_digits_within_a_point_of_one_device(
    digits_run: tuple[RunDirectory, dict[str, Any]], digits_config: Config
) -> None:
    run, _ = digits_run
    manifest = read_manifest(run)
    job = teacher_job(digits_config, digits_config.teachers[0].name, manifest)
    launch(replace(job, folder="one"), run, ignore, ScalingConfig())
    launch(replace(job, folder="several"), run, ignore, ScalingConfig(workers=2, strategy="parameter_server"))
    one, several = (_held_out_accuracy(run, job, folder) for folder in ("one", "several"))
    assert one > 0.9
    assert several == pytest.approx(one, abs=0.01)


def _held_out_accuracy(run: RunDirectory, job: TrainJob, folder: str) -> float:
    manifest = read_manifest(run)
    shards = list(Reader(run, manifest.of("validation", "test"), manifest.inputs).all())
    rows = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    predictor = Predictor(job.model, load_weights(run, folder), jit_compile=False)
    return float((probabilities_of(predictor.logits(rows)).argmax(-1) == rows["label"]).mean())
