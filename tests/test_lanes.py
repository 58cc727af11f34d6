"""Lanes with workers of their own: helpers do what a lane would compute itself, and are replaced when they are lost."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.util import placement_group, remove_placement_group

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.lane import Share
from raykd.lanes import Lanes
from raykd.schedule import Step


def _nothing(*_: Any) -> None:
    """Neither shows nor stops anything."""


@pytest.mark.slow
def test_helpers_share_a_step_and_one_that_dies_is_replaced(local_ray: None, run_directory: RunDirectory) -> None:
    def score(run: RunDirectory, report: Any, part: tuple[int, int]) -> dict[str, Any]:
        tried = Path(run.path(f"tried-{part[0]}"))
        if part[0] == 1 and not tried.exists():
            tried.touch()
            os._exit(1)
        run.write_json(f"logits/{part[0]}.json", {"of": part[1], "process": os.getpid()})
        return {"rows": 10 + part[0], "seconds": 1.0}

    def evaluate(run: RunDirectory, report: Any) -> dict[str, Any]:
        return {"rows": 3, "seconds": 0.5, "process": os.getpid()}

    def train(run: RunDirectory, report: Any) -> dict[str, Any]:
        return {"seconds": 0.25, "process": os.getpid()}

    steps = [
        Step("logits", "a", score, shared=True),
        Step("teacher", "b", train, ("logits",), launched=True),
        Step("evaluation", "c", evaluate, ("teacher",)),
    ]
    run_directory.write_json("config.yaml", {})
    events: list[dict[str, Any]] = []
    lanes = Lanes(run_directory, 1, Share(threads=1, helpers=2), max_failures=0, verbose=False)
    times = lanes.perform(steps, events.append, _nothing, _nothing)
    lanes.release()
    assert [step.name for step, _, _ in times] == ["logits", "teacher", "evaluation"]
    found = [run_directory.read_json(f"logits/{part}.json") for part in range(2)]
    assert [one["of"] for one in found] == [2, 2]
    assert run_directory.facts("logits")["rows"] == 21
    others = [run_directory.facts(name)["process"] for name in ("teacher", "evaluation")]
    assert len({*(one["process"] for one in found), *others}) == 4  # two helpers, the lane, another helper
    assert [event["kind"] for event in events if event["step"] == "logits"] == ["started", "restarted", "finished"]


@pytest.mark.slow
def test_lanes_that_are_released_end_whatever_they_do(local_ray: None, run_directory: RunDirectory) -> None:
    def work_on(run: RunDirectory, report: Any) -> dict[str, Any]:
        run.write_json("process.json", os.getpid())
        threading.Event().wait()
        return {}

    def fail(run: RunDirectory, report: Any) -> dict[str, Any]:
        while not run.exists("process.json"):
            time.sleep(0.05)
        raise InputError("a wild loss")

    run_directory.write_json("config.yaml", {})
    lanes = Lanes(run_directory, 2, Share(threads=1), max_failures=0, verbose=False)
    with pytest.raises(InputError, match="a wild loss"):
        lanes.perform([Step("long", "a", work_on), Step("short", "b", fail)], _nothing, _nothing, _nothing)
    working = psutil.Process(run_directory.read_json("process.json"))
    lanes.release()
    working.wait(timeout=60)


@pytest.mark.slow
def test_lanes_that_reserve_nothing_come_up_while_others_have_all_cpus(
    local_ray: None, run_directory: RunDirectory
) -> None:
    def work(run: RunDirectory, report: Any) -> dict[str, Any]:
        return {"rows": 3}

    run_directory.write_json("config.yaml", {})
    others = placement_group([{"CPU": ray.cluster_resources()["CPU"]}])
    ray.get(others.ready())
    lanes = Lanes(run_directory, 1, Share(threads=1, reserved=False), max_failures=0, verbose=False)
    lanes.perform([Step("teacher", "a", work)], _nothing, _nothing, _nothing)
    lanes.release()
    remove_placement_group(others)
    assert run_directory.facts("teacher")["rows"] == 3


@pytest.mark.slow
def test_a_folder_that_a_lane_does_not_see_is_one_line(local_ray: None, run_directory: RunDirectory) -> None:
    lanes = Lanes(run_directory, 1, Share(threads=1), max_failures=0, verbose=False)
    step = Step("teacher", "a", _nothing)
    with pytest.raises(InputError, match=r"the machine .* doesn't see what the driver wrote"):
        lanes.perform([step], _nothing, _nothing, _nothing)
    lanes.release()
