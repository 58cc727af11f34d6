"""Which cores a worker computes on."""

import pytest

from raykd.train.cores import own_cores


def test_workers_that_take_a_whole_node_share_out_its_cores() -> None:
    shares = [own_cores(place, 3, 2, {2, 3, 4, 7, 8, 9}, 6.0) for place in range(3)]
    assert shares == [[2, 3], [4, 7], [8, 9]]


@pytest.mark.parametrize(
    ("workers", "each", "allowed", "node_cpus"),
    [
        pytest.param(2, 1, range(4), 4.0, id="cores are left for others"),
        pytest.param(2, 1, range(2), 4.0, id="Ray was told of more cores than there are"),
        pytest.param(2, 1, range(4), 2.0, id="Ray was told of fewer"),
    ],
)
def test_workers_beside_others_keep_to_none(workers: int, each: int, allowed: range, node_cpus: float) -> None:
    assert own_cores(0, workers, each, allowed, node_cpus) == []
