"""Which cores a worker computes on."""

import os
from collections.abc import Collection

import ray


def keep_to_own_cores(place: int, workers: int, each: int) -> None:
    """Hold this thread, and those that it starts, to this worker's own cores, where that takes them from nobody.

    Call it before TensorFlow starts its threads. Workers wait for the slowest of them in every step, so one that
    the system moves about, or puts beside another for a moment, holds up all.
    Args: as `own_cores`.
    """
    if not hasattr(os, "sched_setaffinity"):
        return  # Not on this system.
    here = ray.get_runtime_context().get_node_id()
    [node] = [node for node in ray.nodes() if node["NodeID"] == here]
    cores = own_cores(place, workers, each, os.sched_getaffinity(0), node["Resources"].get("CPU", 0.0))
    if cores:
        os.sched_setaffinity(0, cores)


def own_cores(place: int, workers: int, each: int, allowed: Collection[int], node_cpus: float) -> list[int]:
    """The cores of one of a node's workers; none where others may compute beside them.

    Ray counts cores but doesn't say which. Where one training's workers take all that a node has, though, and Ray's
    count is that of the system, nothing else is placed there.
    Args: place: of this worker on its node, from 0; workers: of this training on this node; each: cores of a worker;
    allowed: the system's numbers of the cores that this process may use; node_cpus: Ray's count.
    """
    if not workers * each == node_cpus == len(allowed):
        return []
    return sorted(allowed)[place * each : (place + 1) * each]
