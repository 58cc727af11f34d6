"""What fits on a cluster, and what never will."""

import re

import pytest

from raykd.capacity import Capacity, Kind, check_scaling, check_storage, side_by_side
from raykd.cluster import trials_together
from raykd.config import ScalingConfig
from raykd.errors import InputError
from raykd.loading import parse_config

LAPTOP = Capacity((Kind(2),))
THREE_NODES = Capacity((Kind(0), Kind(4, 0, 3)), machines=4)
WITH_GPUS = Capacity((Kind(0), Kind(16, 0, 4), Kind(8, 1, 2)), grows=True)
KUBERNETES = Capacity((Kind(0),), grows=True, known=False)


@pytest.mark.parametrize(
    ("capacity", "cpus", "gpus", "room"),
    [
        (LAPTOP, 1, 0, 2),
        (LAPTOP, 3, 0, 0),
        (THREE_NODES, 4, 0, 3),
        (THREE_NODES, 3, 0, 3),  # A process runs on one node: the three cores left over are no fourth place.
        (THREE_NODES, 2, 0, 6),
        (WITH_GPUS, 8, 0, 10),
        (WITH_GPUS, 8, 1, 2),
        (WITH_GPUS, 4, 1, 2),
        (WITH_GPUS, 16, 1, 0),
    ],
)
def test_room_is_counted_node_by_node(capacity: Capacity, cpus: int, gpus: int, room: int) -> None:
    assert capacity.room(cpus, gpus) == room


def test_trials_take_one_accelerator_each() -> None:
    section = {"model": {"type": "mlp"}}
    values = {"teachers": [{"name": "a", **section}], "student": section, "scaling": {"gpus_per_worker": 4}}
    config = parse_config({**values, "sweep": {"enabled": True}})
    assert trials_together(config, Capacity((Kind(16, 4),)), 12) == (4, 4)


@pytest.mark.parametrize(
    ("capacity", "settings", "most", "workers", "expected"),
    [
        (LAPTOP, {}, 3, 0, (2, 1)),
        (LAPTOP, {"lanes": 1}, 3, 0, (1, 2)),
        (LAPTOP, {"lanes": 5}, 3, 0, (2, 1)),  # The other three would wait for the two.
        (LAPTOP, {"workers": 2}, 3, 2, (1, 1)),
        (LAPTOP, {"workers": (1, 4)}, 3, 4, (1, 1)),
        (THREE_NODES, {}, 3, 0, (3, 4)),
        (THREE_NODES, {}, 4, 0, (4, 2)),  # Twelve cores by four would be three, which fit on three nodes only.
        (THREE_NODES, {"cpus_per_worker": 2, "workers": 3}, 5, 3, (2, 2)),
        (WITH_GPUS, {"gpus_per_worker": 1, "cpus_per_worker": 2}, 3, 0, (2, 8)),
        (KUBERNETES, {}, 3, 0, (3, 1)),
        (KUBERNETES, {"lanes": 2, "cpus_per_worker": 4}, 3, 0, (2, 4)),
    ],
)
def test_trainings_side_by_side_never_ask_for_more_than_there_is(
    capacity: Capacity, settings: dict[str, int], most: int, workers: int, expected: tuple[int, int]
) -> None:
    scaling = ScalingConfig(**settings)
    count, threads = side_by_side(scaling, capacity, most, workers=workers)
    assert (count, threads) == expected
    if capacity.known:
        assert capacity.room(threads, scaling.gpus_per_worker) >= count


@pytest.mark.parametrize(
    ("capacity", "settings", "line"),
    [
        (LAPTOP, {"cpus_per_worker": 4},
         "scaling.cpus_per_worker: found 4, but no node has 4 CPU (the cluster has 1 x 2 CPU); lower it or"),
        (LAPTOP, {"gpus_per_worker": 1},
         "scaling.gpus_per_worker: found 1, but no node has 1 CPU and 1 GPU (the cluster has 1 x 2 CPU); lower"),
        (THREE_NODES, {"workers": 4, "cpus_per_worker": 3},
         "scaling.workers: found 4 of 3 CPU, but there is room for 3 (the cluster has 3 x 4 CPU); lower it or add"),
        (WITH_GPUS, {"gpus_per_worker": 2},
         "but no node could at most have 1 CPU and 2 GPU (the cluster could at most have 4 x 16 CPU, 2 x 8 CPU and 1"),
        (Capacity((Kind(0),)), {}, "scaling.cpus_per_worker: found 1, but no node has 1 CPU (the cluster has no node"),
    ],
)  # fmt: skip
def test_what_can_never_be_given_is_refused_naming_what_is_missing(
    capacity: Capacity, settings: dict[str, int], line: str
) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        check_scaling(ScalingConfig(**settings), capacity)


@pytest.mark.parametrize(
    ("capacity", "settings"),
    [
        (LAPTOP, {}),
        (LAPTOP, {"workers": (1, 8)}),
        (THREE_NODES, {"workers": 3, "cpus_per_worker": 4}),
        (WITH_GPUS, {"workers": 2, "gpus_per_worker": 1, "cpus_per_worker": 8}),
        (KUBERNETES, {"workers": 8, "gpus_per_worker": 8}),
    ],
)
def test_what_can_be_given_passes(capacity: Capacity, settings: dict[str, int]) -> None:
    check_scaling(ScalingConfig(**settings), capacity)


@pytest.mark.parametrize(
    ("capacity", "local", "shared", "how"),
    [
        (LAPTOP, True, False, None),
        (THREE_NODES, True, False, "has 4 machines"),
        (WITH_GPUS, True, False, "adds machines as it needs them"),
        (THREE_NODES, True, True, None),
        (WITH_GPUS, False, False, None),
    ],
)
def test_a_folder_of_one_machine_is_refused_on_several(
    capacity: Capacity, local: bool, shared: bool, how: str | None
) -> None:
    if how is None:
        check_storage("/runs", local=local, shared=shared, capacity=capacity)
        return
    with pytest.raises(InputError, match=rf"storage_path /runs: .*{how}.*s3://BUCKET.*shared_storage=true"):
        check_storage("/runs", local=local, shared=shared, capacity=capacity)
