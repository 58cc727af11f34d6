"""Ray: started here or joined, and what it offers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.quiet import quiet

if TYPE_CHECKING:
    from raykd.lanes import Lanes

_LOCAL_SETTINGS = {
    "include_dashboard": False,
    "object_store_memory": 1 << 30,  # bytes; it spills to disk beyond
    # A worker process takes seconds to start: one that read for a training waits for the next.
    "_system_config": {"idle_worker_killing_time_threshold_ms": 600_000},
}


@dataclass(frozen=True)
class Cluster:
    """What a Ray cluster offers now."""

    cpus: int


@contextmanager
def connect(address: str | None, verbose: bool) -> Iterator[Cluster]:
    """Ray for the length of a `with` block: joined if it runs in this process or at `address`, else started here."""
    import ray

    joined = ray.is_initialized()
    if not joined:
        # A local Ray never outlives this process; a cluster's address may also come from RAY_ADDRESS.
        elsewhere = address or os.environ.get("RAY_ADDRESS")
        local = {} if elsewhere else _LOCAL_SETTINGS
        ray.init(
            address=elsewhere or "local",
            logging_level="WARNING" if verbose else "ERROR",
            log_to_driver=verbose,
            **local,
        )
    if not verbose:
        quiet()
    try:
        yield cluster_now()
    finally:
        if not joined:
            ray.shutdown()


def cluster_now() -> Cluster:
    """What the connected cluster offers."""
    import ray

    return Cluster(int(ray.cluster_resources().get("CPU", 1)))


def trials_together(config: Config, cluster: Cluster, trials: int) -> tuple[int, int]:
    """How many trials of a sweep train side by side, and with how many threads: each in one process, as in a lane."""
    room = max(1, min(cluster.cpus // config.scaling.cpus_per_worker, trials))
    count = room if config.scaling.lanes == "auto" else min(config.scaling.lanes, trials)
    return count, max(1, cluster.cpus // count)


def lanes_for(config: Config, cluster: Cluster, run: RunDirectory, verbose: bool) -> "Lanes":
    """Lanes as the configuration asks for them: by default one per CPU, no more than there are teachers."""
    from raykd.data.visits import FEED_CPUS
    from raykd.lanes import Lanes

    scaling = config.scaling
    cpus_of_one = scaling.cpus_per_worker * max(1, scaling.most_workers)
    room = max(1, min(cluster.cpus // cpus_of_one, len(config.teacher_names)))
    count = room if scaling.lanes == "auto" else scaling.lanes
    threads = max(1, cluster.cpus // count)
    # A lane that trains itself leaves room for the Ray Data task that feeds it: a feed without a CPU would starve
    # it. One that has workers waits while they train, and they hold the CPUs.
    cpus = 0.0 if scaling.most_workers else threads - FEED_CPUS
    return Lanes(run, count, threads, cpus, scaling.max_failures, verbose)
