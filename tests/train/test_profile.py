"""Where a training's time goes."""

import time
from dataclasses import replace

import numpy as np
import pytest
from small import ignore, small_job
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from raykd.artifacts import RunDirectory
from raykd.config import ScalingConfig
from raykd.data.shards import Manifest
from raykd.report.profile import write_profile
from raykd.train.checkpoint import load_weights
from raykd.train.launch import launch
from raykd.train.profile import operations_in


def test_a_profiled_training_tells_where_its_time_went_and_learns_the_same(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    launch(small_job("students/unwatched"), run_directory, ignore, ScalingConfig())
    begun = time.perf_counter()
    launch(small_job("students/watched"), run_directory, ignore, ScalingConfig(profile=True))
    wall = time.perf_counter() - begun
    pairs = zip(*(load_weights(run_directory, f"students/{name}") for name in ("watched", "unwatched")), strict=True)
    for watched, unwatched in pairs:
        np.testing.assert_array_equal(watched, unwatched)
    assert run_directory.names("profile", ".json") == ["students-watched.json"]
    found = run_directory.read_json("profile/students-watched.json")
    assert {"starting", "steps", "waiting for data", "validation", "checkpoints"} <= set(found["seconds"])
    assert 0 < sum(found["seconds"].values()) < wall
    assert found["traced_steps"] == 7  # calls of 2, 1, 2 and 2 steps: an epoch has 5
    assert any("MatMul" in operation["operation"] for operation in found["operations"])
    write_profile(run_directory)
    page = run_directory.read_bytes("profile/time.html").decode()
    assert "students/watched" in page
    assert "MatMul" in page


@pytest.mark.slow
def test_calls_that_try_ways_are_no_steps_and_not_traced(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    job = small_job("tried", keep_best=False)
    training = job.training.model_copy(update={"jit_compile": "auto", "epochs": 12})
    launch(replace(job, training=training), run_directory, ignore, ScalingConfig(profile=True))
    found = run_directory.read_json("profile/tried.json")
    assert found["seconds"]["first calls, compiling"] > found["seconds"]["steps"] > 0
    assert 4 <= found["traced_steps"] <= 8  # four calls of one or two steps


def test_an_operations_time_is_its_own() -> None:
    space = xplane_pb2.XSpace()
    plane = space.planes.add()
    names = [
        "dense/MatMul:_MklMatMul",
        "ThunkExecutor::Execute",
        "add_fusion.3",
        "add_fusion.12",
        "_forward",
        "PyFunc:PyFunc",
    ]
    for number, name in enumerate(names):
        plane.event_metadata[number].name = name
    line = plane.lines.add()
    events = [
        (1, 0, 100),
        (0, 10, 30),
        (2, 50, 40),
        (3, 60, 10),
        (4, 100, 50),
        (0, 110, 20),
        (5, 200, 90),
    ]  # name, start, length
    for number, start, length in events:
        line.events.add(metadata_id=number, offset_ps=start * 10**12, duration_ps=length * 10**12)
    assert operations_in(space.SerializeToString()) == [
        {"operation": "_MklMatMul", "count": 2, "seconds": 50.0},
        {"operation": "add_fusion", "count": 2, "seconds": 40.0},
    ]
