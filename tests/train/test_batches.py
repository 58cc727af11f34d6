"""Batches in TensorFlow: what they leave behind."""

import gc
import weakref
from typing import Any
from unittest.mock import patch

import pytest
from small import ignore, small_job

from raykd.artifacts import RunDirectory
from raykd.data.shards import Manifest
from raykd.train import loop
from raykd.train.batches import feed_of
from raykd.train.loop import train
from raykd.train.strategy import Place, strategy_named, use_own_devices


def test_the_feed_of_a_training_that_stops_early_is_freed(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds: list[Any] = []

    def noted(*arguments: Any) -> Any:
        feed = feed_of(*arguments)
        feeds.append(weakref.ref(feed))
        return feed

    monkeypatch.setattr(loop, "feed_of", noted)
    place = Place(strategy_named("one_device"))
    hasty = small_job("early").training.model_copy(update={"learning_rate": 1e-12, "patience": 1, "epochs": 30})
    for folder in ("early", "again"):
        train(small_job(folder, training=hasty), run_directory, manifest, place, ignore)
        assert len(run_directory.read_json(f"{folder}/history.json")) < 30
    gc.collect()
    assert [feed() for feed in feeds] == [None, None]


def test_accelerators_are_hidden_from_processes_that_ray_gave_none(local_ray: None) -> None:
    import ray

    def hidden() -> list[Any]:
        import tensorflow as tf

        with patch.object(tf.config, "set_visible_devices") as hide:
            use_own_devices()
        return [tuple(call.args) for call in hide.mock_calls]

    assert ray.get(ray.remote(num_cpus=0)(hidden).remote()) == [([], "GPU")]
