"""What happens while no lane is up."""

from types import SimpleNamespace
from typing import Any

import pytest

from raykd import cluster
from raykd.capacity import Capacity, Kind
from raykd.cluster import Waits, await_room
from raykd.config import ScalingConfig
from raykd.errors import InputError
from raykd.lane import Share

NONE, ONE = Capacity((Kind(0),)), Capacity((Kind(0), Kind(1)))


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch, local_ray: None) -> list[dict[str, float]]:
    """A cluster without nodes, and what its autoscaler says that it will never give."""
    said: list[dict[str, float]] = []
    monkeypatch.setattr(cluster, "cluster_now", lambda: NONE)
    monkeypatch.setattr(cluster, "never_given", lambda address: said)
    return said


def _waits(events: list[dict[str, Any]]) -> Waits:
    return Waits(ScalingConfig(), Share(threads=1, gpus=2), events.append)


def test_workers_without_room_are_told_though_lanes_beside_the_driver_are_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, nodes, events = [0.0], [ONE], list[dict[str, Any]]()
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(cluster, "nodes_now", lambda: nodes[0])
    monkeypatch.setattr(cluster, "cluster_now", lambda: nodes[0])
    monkeypatch.setattr(Waits, "_check_autoscaler", lambda self: None)
    waits = Waits(ScalingConfig(workers=2), Share(threads=1, helpers=2), events.append)

    def pass_to(second: float) -> None:
        while clock[0] < second:
            clock[0] += 0.25
            waits(0.0)

    pass_to(26.0)
    assert [(event["step"], event["room"], event["workers"]) for event in events] == [("workers", 1, 2)]
    nodes[0] = Capacity((Kind(1, count=2),))
    pass_to(100.0)
    assert len(events) == 1
    nodes[0] = ONE
    with pytest.raises(InputError, match=r"scaling.workers: found 2 of 1 CPU, but there is room for 1"):
        pass_to(1000.0)
    assert 700.0 <= clock[0] < 730.0


def test_waiting_is_told_and_ends_within_a_minute_where_there_never_was_a_node(never: list[dict[str, float]]) -> None:
    events: list[dict[str, Any]] = []
    waits = _waits(events)
    for second in range(1, 50):
        waits(float(second))
    assert [(event["seconds"], event["CPU"], event["GPU"]) for event in events] == [(25.0, 1.0, 2.0)]
    with pytest.raises(InputError, match="no node has 1 CPU"):
        waits(50.0)


def test_lost_nodes_may_come_back(never: list[dict[str, float]]) -> None:
    events: list[dict[str, Any]] = []
    waits = _waits(events)
    waits(0.0)
    for second in range(1, 600):
        waits(float(second))
    assert len(events) == 23
    with pytest.raises(InputError, match="no node has 1 CPU"):
        waits(625.0)


def test_what_the_autoscaler_will_never_give_is_named(never: list[dict[str, float]]) -> None:
    never += [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 2.0}]
    with pytest.raises(InputError, match=r"found 1 CPU and 2 GPU, but the autoscaler has no node type"):
        _waits([])(30.0)


def test_nodes_that_are_joining_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([NONE, ONE])
    clock = iter(range(100))
    monkeypatch.setattr(cluster, "cluster_now", lambda: next(seen))
    times = SimpleNamespace(sleep=lambda seconds: None, monotonic=lambda: float(next(clock)))
    monkeypatch.setattr(cluster, "time", times)
    assert await_room(ScalingConfig(), NONE) == ONE
    monkeypatch.setattr(cluster, "cluster_now", lambda: NONE)
    with pytest.raises(InputError, match="no node has 1 CPU"):
        await_room(ScalingConfig(), NONE)
    assert 46 <= next(clock) <= 60
    with pytest.raises(InputError, match="no node has 1 CPU"):
        await_room(ScalingConfig(), Capacity((Kind(0),), alone=True))
    assert next(clock) <= 63
