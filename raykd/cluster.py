"""Ray: started here or joined, and what it offers."""

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raykd.artifacts import RunDirectory
from raykd.autoscaler import autoscaler_config, growing_kinds, is_autoscaler_v2, never_given
from raykd.capacity import Capacity, Kind, check_scaling, side_by_side
from raykd.config import Config, ScalingConfig
from raykd.errors import InputError
from raykd.quiet import quiet

if TYPE_CHECKING:
    from raykd.lane import Share
    from raykd.lanes import Lanes

_KNOCK_SECONDS = 5.0  # for a cluster's address to answer
_JOIN_SECONDS = 45.0  # that a node may take to join
_RETURN_SECONDS = 600.0  # that nodes in place of lost ones may take to join
_LOOK_SECONDS = 25.0  # between looks at a cluster that has no lane up
_ASK_SECONDS = 5.0  # between questions whether its nodes have room for a training's workers
_IN_KUBERAY = "RAY_USAGE_STATS_KUBERAY_IN_USE"  # what KubeRay sets in the containers of its clusters
_LOCAL_SETTINGS = {
    "include_dashboard": False,
    "object_store_memory": 1 << 30,  # bytes; it spills to disk beyond
    # A worker process takes seconds to start: one that read for a training waits a while for the next.
    "_system_config": {"idle_worker_killing_time_threshold_ms": 60_000},
}


@contextmanager
def connect(address: str | None, verbose: bool) -> Iterator[Capacity]:
    """Ray for the length of a `with` block: joined if it runs in this process or at `address`, else started here."""
    import ray

    joined = ray.is_initialized()
    elsewhere = address or os.environ.get("RAY_ADDRESS")
    named = f"--address {address}" if address else f"RAY_ADDRESS {elsewhere}" if elsewhere else None
    with _one_line(named):
        if elsewhere:
            _knock(elsewhere)
    if not joined:
        # A local Ray never outlives this process; a cluster's address may also come from RAY_ADDRESS.
        local = {} if elsewhere else _LOCAL_SETTINGS
        with _one_line(named):
            ray.init(
                address=elsewhere or "local",
                logging_level="WARNING" if verbose else "ERROR",
                log_to_driver=verbose,
                **local,
            )
    if not verbose:
        quiet()
    try:
        yield replace(cluster_now(), alone=not joined and not elsewhere)
    finally:
        if not joined:
            ray.shutdown()


@contextmanager
def _one_line(named: str | None) -> Iterator[None]:
    """Failure to join a cluster as an InputError; what keeps a local Ray from starting isn't the user's input.

    Args: named: the address, and where it comes from; None: Ray starts here.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        if named is None:
            raise
        raise InputError(
            f"{named}: found no Ray cluster ({' '.join(str(error).split())[:200]}), expected one such as "
            "127.0.0.1:6379, ray://HOST:10001 or auto; see that it runs and can be reached, or leave it out"
        ) from error


def _knock(address: str) -> None:
    """See that something listens at a host and port: Ray would wait for it for minutes. Raises: OSError."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()


def cluster_now() -> Capacity:
    """What the connected cluster has, or could grow to."""
    import ray

    here = nodes_now()
    now, machines = here.kinds, here.machines
    config = autoscaler_config(ray.get_runtime_context().gcs_address)
    if config is not None:
        kinds = growing_kinds(config)
        return Capacity(now if kinds is None else kinds, grows=True, known=kinds is not None, machines=machines)
    if os.environ.get(_IN_KUBERAY) and is_autoscaler_v2():
        return Capacity(now, grows=True, known=False, machines=machines)
    return Capacity(now, machines=machines)


def nodes_now() -> Capacity:
    """What the connected cluster's nodes of this moment have, whatever it could grow to."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    found = Counter((node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in nodes)
    kinds = tuple(Kind(cpus, gpus, count) for (cpus, gpus), count in sorted(found.items()))
    return Capacity(kinds, machines=len({node["NodeManagerHostname"] for node in nodes}))


def await_room(scaling: ScalingConfig, capacity: Capacity) -> Capacity:
    """The capacity, once it has room for a training: nodes of a cluster that has just been started join one by one.

    Raises: InputError naming what is missing, where that takes too long or no node can be added.
    """
    deadline = time.monotonic() + (0.0 if capacity.grows or capacity.alone else _JOIN_SECONDS)
    while True:
        try:
            check_scaling(scaling, capacity)
        except InputError:
            if time.monotonic() > deadline:
                raise
        else:
            return capacity
        time.sleep(1.0)
        capacity = cluster_now()


def trials_together(config: Config, capacity: Capacity, trials: int) -> tuple[int, int]:
    """How many trials of a sweep train side by side, and with how many threads.

    Each is one process, as a lane is, with one accelerator at most.
    """
    scaling = config.scaling.model_copy(update={"gpus_per_worker": min(1, config.scaling.gpus_per_worker)})
    count, threads = side_by_side(scaling, capacity, trials, workers=0)
    return min(count, trials), threads


def lanes_for(config: Config, capacity: Capacity, run: RunDirectory, verbose: bool) -> "Lanes":
    """Lanes as the configuration asks for them: by default one per CPU, no more than there are teachers.

    In a Ray that the run has to itself, as `capacity` says, they need no room that is free.
    """
    from raykd.lane import Share
    from raykd.lanes import Lanes

    scaling = config.scaling
    count, threads = side_by_side(scaling, capacity, len(config.teacher_names), workers=scaling.most_workers)
    reserved = not capacity.alone or scaling.most_workers > 0
    share = Share(threads, scaling.gpus_per_worker, scaling.most_workers, reserved)
    return Lanes(run, count, share, scaling.max_failures, verbose)


class Waits:
    """What to do while nothing can be computed: say so now and then, and give up where that can never change.

    That is while no lane is up. Lanes whose trainings have workers stay beside the driver, always up: with them it is
    while the nodes have no room for one training's workers. A cluster that has lost its nodes has longer to get others
    than one that never had them.
    """

    def __init__(self, scaling: ScalingConfig, share: "Share", show: Callable[[dict[str, Any]], None]) -> None:
        self._scaling = scaling
        self._share = share
        self._show = show
        self._looked = 0.0
        self._patience = _JOIN_SECONDS
        self._asked = self._had_room = time.monotonic()
        self._room = 0

    def __call__(self, seconds: float) -> None:
        """Called now and then. Args: seconds: without any lane; 0 while there is one.

        Raises: InputError naming what is missing.
        """
        if self._share.helpers:
            seconds = self._seconds_without_room()
        if not seconds:
            self._looked, self._patience = 0.0, _RETURN_SECONDS
        if seconds < self._looked + _LOOK_SECONDS:
            return
        self._looked = seconds
        if seconds > self._patience:
            check_scaling(self._scaling, cluster_now())
        self._check_autoscaler()
        workers = {"room": self._room, "workers": self._scaling.least_workers} if self._share.helpers else {}
        step = "workers" if workers else "lanes"
        self._show({"step": step, "kind": "waiting", "seconds": seconds, **workers, **self._wanted()})

    def _seconds_without_room(self) -> float:
        """Since the nodes had room for the fewest workers that a training can have."""
        now = time.monotonic()
        if now >= self._asked + _ASK_SECONDS:
            self._asked = now
            self._room = nodes_now().room(self._share.threads, self._share.gpus)
            if self._room >= self._scaling.least_workers:
                self._had_room = now
        return now - self._had_room

    def _wanted(self) -> dict[str, float]:
        wanted = {"CPU": float(self._share.threads), "GPU": float(self._share.gpus)}
        return {name: amount for name, amount in wanted.items() if amount}

    def _check_autoscaler(self) -> None:
        import ray

        wanted = self._wanted()
        if wanted in never_given(ray.get_runtime_context().gcs_address):
            amounts = " and ".join(f"{amount:g} {name}" for name, amount in wanted.items())
            raise InputError(
                f"scaling.cpus_per_worker, gpus_per_worker: found {amounts}, but the autoscaler has no node type with "
                "as much; lower them or add such nodes"
            )
