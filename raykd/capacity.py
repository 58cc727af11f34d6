"""What a cluster has or could grow to, and what fits on it side by side: decisions only, no Ray.

A process runs on one node, so room is counted node by node: three nodes of four cores have room for three processes
of three cores, not for four.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from raykd.config import ScalingConfig
from raykd.errors import InputError


@dataclass(frozen=True)
class Kind:
    """Nodes of one kind: cores and accelerators of each, and how many of them there are or could be."""

    cpus: float
    gpus: float = 0.0
    count: int = 1

    def room(self, cpus: float, gpus: float) -> int:
        """How many processes with these needs run side by side on nodes of this kind."""
        by_cpus = int(self.cpus / cpus)
        return self.count * (min(by_cpus, int(self.gpus / gpus)) if gpus else by_cpus)


@dataclass(frozen=True)
class Capacity:
    """What there is, or could be.

    Args:
        kinds: all nodes; of an autoscaling cluster those that it could have at most.
        grows: whether an autoscaler adds nodes.
        known: False where only the autoscaler knows what it could add: `kinds` are then the nodes of this moment.
        machines: hosts of this moment.
        alone: whether no other node can join.
    """

    kinds: tuple[Kind, ...]
    grows: bool = False
    known: bool = True
    machines: int = 1
    alone: bool = False

    @property
    def cpus(self) -> int:
        """All cores."""
        return int(sum(kind.cpus * kind.count for kind in self.kinds))

    @property
    def gpus(self) -> int:
        """All accelerators."""
        return int(sum(kind.gpus * kind.count for kind in self.kinds))

    @property
    def spans_machines(self) -> bool:
        """Whether work may be done on another machine than the driver's."""
        return self.grows or self.machines > 1

    def room(self, cpus: float, gpus: float = 0.0) -> int:
        """How many processes with these needs, each on one node, run side by side."""
        return sum(kind.room(cpus, gpus) for kind in self.kinds)

    def threads(self, count: int, least: int, gpus: float = 0.0) -> int:
        """The most cores that each of `count` processes can have side by side, `least` or more."""
        most = max((int(kind.cpus) for kind in self.kinds), default=least)
        fitting = (threads for threads in range(most, least, -1) if self.room(threads, gpus) >= count)
        return next(fitting, least)


def side_by_side(scaling: ScalingConfig, capacity: Capacity, most: int, *, workers: int) -> tuple[int, int]:
    """How many trainings run side by side, and with how many threads in the process that leads each.

    More than there is room for would wait for each other: they queue up instead.
    Args: most: that are worth it, where `scaling.lanes` doesn't say; workers: of each training, or 0 for one in the
    process that leads it.
    """
    wanted = most if scaling.lanes == "auto" else scaling.lanes
    cpus, gpus = scaling.cpus_per_worker, scaling.gpus_per_worker
    if not capacity.known:
        return wanted, cpus
    count = max(1, min(wanted, capacity.room(cpus, gpus) // max(1, workers)))
    return count, cpus if workers else capacity.threads(count, cpus, gpus)


def check_scaling(scaling: ScalingConfig, capacity: Capacity) -> None:
    """Raises: InputError where the cluster can never give what one training asks for, naming what is missing."""
    if not capacity.known:
        return
    cpus, gpus = scaling.cpus_per_worker, scaling.gpus_per_worker
    room = capacity.room(cpus, gpus)
    could = "could at most have" if capacity.grows else "has"
    if not room:
        key = "gpus_per_worker" if capacity.room(cpus) else "cpus_per_worker"
        raise InputError(
            f"scaling.{key}: found {getattr(scaling, key)}, but no node {could} {_amount(cpus, gpus)} "
            f"(the cluster {could} {describe(capacity.kinds)}); lower it or add such nodes"
        )
    if room < scaling.least_workers:
        raise InputError(
            f"scaling.workers: found {scaling.least_workers} of {_amount(cpus, gpus)}, but there is room for {room} "
            f"(the cluster {could} {describe(capacity.kinds)}); lower it or add nodes"
        )


def describe(kinds: Sequence[Kind]) -> str:
    """For an error message."""
    parts = [f"{kind.count} x {_amount(kind.cpus, kind.gpus)}" for kind in kinds if kind.cpus or kind.gpus]
    return ", ".join(parts) or "no node with a CPU"


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU and {gpus:g} GPU" if gpus else f"{cpus:g} CPU"


def check_storage(path: str, *, local: bool, shared: bool, capacity: Capacity) -> None:
    """Raises: InputError for a folder of one machine, where the work is done on several."""
    if local and not shared and capacity.spans_machines:
        how = "adds machines as it needs them" if capacity.grows else f"has {capacity.machines} machines"
        raise InputError(
            f"storage_path {path}: a folder of this machine, but the cluster {how}, and all must reach it; give "
            "--storage-path s3://BUCKET/FOLDER or gs://BUCKET/FOLDER, or, where every machine has mounted that folder "
            "(NFS), --set scaling.shared_storage=true"
        )
