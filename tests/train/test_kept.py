"""What a process keeps of trainings and predictions: small things for the next one, large ones not."""

import gc
import weakref

import pytest
from small import INPUTS, ignore, small_job

from raykd.artifacts import RunDirectory
from raykd.config import MLPConfig
from raykd.data.shards import Manifest
from raykd.models.build import ModelSpec
from raykd.train import kept
from raykd.train.loop import train
from raykd.train.program import program_for
from raykd.train.strategy import Place, strategy_named


@pytest.mark.parametrize("large", [False, True])
def test_what_is_large_goes_before_another_is_made(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(kept, "KEPT_BYTES", 0)
    place = Place(strategy_named("one_device"))
    training = small_job("first").training.model_copy(update={"epochs": 1})
    first, second = (
        small_job(f"of-{width}", model=ModelSpec(MLPConfig(type="mlp", hidden=[width]), INPUTS, 2), training=training)
        for width in (11 + large, 13)
    )
    train(first, run_directory, manifest, place, ignore)
    program = weakref.ref(program_for(first, place))
    train(second, run_directory, manifest, place, ignore)
    gc.collect()
    assert (program() is None) == large
