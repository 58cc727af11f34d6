"""Asynchronous training under ParameterServerStrategy: Ray actors around a ClusterCoordinator.

Variables live in the parameter servers. Each worker computes updates from its own streams of the feed, in its own
process, so that no row passes the coordinator. Workers don't wait for each other: one that is faster takes more
updates, and weights differ a little from run to run.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import ray
import tensorflow as tf
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayTaskError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raykd.artifacts import RunDirectory
from raykd.config import ScalingConfig
from raykd.data.shards import Manifest, read_manifest
from raykd.errors import InputError
from raykd.train.batches import batches_of, signature
from raykd.train.checkpoint import reached
from raykd.train.job import Report, TrainJob
from raykd.train.loop import TakeSteps, train
from raykd.train.nodes import lost_nodes, lost_since
from raykd.train.program import Program
from raykd.train.strategy import Place, use_own_devices, use_threads
from raykd.train.totals import Totals

_UPDATES_PER_CALL = 8  # Enough to hide the call to a worker, few enough to spread over the workers.
_NOTICE_SECONDS = 20.0  # in which Ray tells that a process has died, after TensorFlow has missed it
_STATE_STAYS_BEHIND = 1  # DatasetToGraphV2's policy IGNORE: the generator stays in the process that reads.

Addresses = dict[str, list[str]]
"""Host and port of every task, by role: tf.train.ClusterSpec's form."""


class Server:
    """One tf.distribute.Server: a worker or a parameter server."""

    def __init__(self, threads: int) -> None:
        use_own_devices()
        use_threads(threads)

    def address(self) -> str:
        """Host and a free port of this node."""
        import socket

        host = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((host, 0))
            return f"{host}:{probe.getsockname()[1]}"

    def start(self, addresses: Addresses, role: str, index: int) -> None:
        """Begin to serve, until the actor ends."""
        self._server = tf.distribute.Server(tf.train.ClusterSpec(addresses), job_name=role, task_index=index)

    def stay(self) -> None:
        """Never return: whoever waits for it learns that the actor has died."""
        threading.Event().wait()

    def feed(self, job: TrainJob, run: RunDirectory, rank: int, workers: int, start: int, stop: int) -> bytes:
        """This worker's part of the batches: a serialised dataset, which runs in this process alone."""
        manifest = read_manifest(run)
        feed = job.feed(run, manifest, rank, workers)
        # Kept: the generator lives as long as its dataset.
        self._batches = batches_of(feed, signature(job, manifest, feed.rows), job.data.prefetch, start, stop)
        graph = tf.raw_ops.DatasetToGraphV2(
            input_dataset=tf.data.experimental.to_variant(self._batches), external_state_policy=_STATE_STAYS_BEHIND
        )
        return _without_devices(graph.numpy())


class Coordinator:
    """Hands the steps of one training to the workers."""

    def __init__(self, addresses: Addresses, workers: Sequence[ActorHandle]) -> None:
        self._workers = workers
        spec = tf.train.ClusterSpec(addresses)
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec, rpc_layer="grpc")
        self._strategy = tf.distribute.ParameterServerStrategy(resolver)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(self._strategy)

    def train(self, job: TrainJob, run: RunDirectory, report: Report) -> None:
        """Train to the end; the loop, its checkpoints and its validation are those of every strategy."""
        place = Place(self._strategy, updates_per_step=len(self._workers), compiles=False)
        train(job, run, read_manifest(run), place, report, executor=self._take_on_workers)

    def _take_on_workers(
        self,
        job: TrainJob,
        run: RunDirectory,
        manifest: Manifest,
        place: Place,
        program: Program,
        start: int,
        stop: int,
    ) -> TakeSteps:
        workers = len(self._workers)
        # A fast worker takes steps for a slow one, so each must be able to read on.
        last = start + (stop - start) * workers
        feeds = [worker.feed.remote(job, run, rank, workers, start, last) for rank, worker in enumerate(self._workers)]
        spec = signature(job, manifest, job.feed(run, manifest, 0, workers).rows)
        batches = iter(self._coordinator.create_per_worker_dataset(self._datasets_of(ray.get(feeds), spec)))

        def take(count: int) -> Totals:
            updates, calls = count * workers, {}
            size = min(count, _UPDATES_PER_CALL)
            for first in range(0, updates, size):
                some = tf.constant(min(size, updates - first))
                calls[first] = self._coordinator.schedule(program.steps, args=(batches, some))
            self._coordinator.join()
            return _sum({first: Totals(*self._coordinator.fetch(call)) for first, call in calls.items()}, workers)

        return take

    def _datasets_of(self, graphs: Sequence[bytes], spec: dict[str, tf.TensorSpec]) -> Any:
        """A function that makes, in each worker, the dataset of that worker's own feed."""

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            graph = tf.gather(tf.constant(graphs), context.input_pipeline_id)
            # Made from within another dataset: elsewhere TensorFlow would fold it into a constant, which can't travel.
            return tf.data.Dataset.from_tensors(graph).flat_map(
                lambda graph: tf.data.experimental.from_variant(tf.raw_ops.DatasetFromGraph(graph_def=graph), spec)
            )

        return lambda: self._strategy.distribute_datasets_from_function(of_worker)


def _without_devices(serialised: bytes) -> bytes:
    """A graph that runs in whatever task loads it; made here, its nodes are bound to `localhost`."""
    graph = tf.compat.v1.GraphDef.FromString(serialised)
    for node in chain(graph.node, *(function.node_def for function in graph.library.function)):
        node.device = ""
    stripped: bytes = graph.SerializeToString()
    return stripped


def _sum(calls: dict[int, Totals], workers: int) -> Totals:
    """Totals of calls, by the first update of each; `waited` becomes the workers' mean."""
    bad = [(first + int(one.bad)) // workers for first, one in calls.items() if int(one.bad) >= 0]
    loss, rows, waited = (
        sum(float(getattr(one, name)) for one in calls.values()) for name in ("loss", "rows", "waited")
    )
    return Totals(loss, rows, waited / workers, min(bad, default=-1))


def train_on_parameter_servers(job: TrainJob, run: RunDirectory, report: Report, scaling: ScalingConfig) -> None:
    """Start the actors, train, and end them; again from the last checkpoint when one of them dies.

    As on workers of Ray Train, a node's loss is no last failure where steps were made since the actors started.
    Raises: what `raykd.train.loop.train` raises; RuntimeError when actors keep dying.
    """
    left = scaling.max_failures
    while True:
        lost, before = lost_nodes(), reached(run, job.folder)
        try:
            with _actors(scaling) as (coordinator, servers):
                _train(coordinator, servers, job, run, report)
            return
        except RayActorError as error:
            left -= 1
            if left < 0:
                if reached(run, job.folder) == before or not lost_since(lost):
                    raise RuntimeError(f"{job.folder}: its parameter servers or workers keep dying: {error}") from error
                left = scaling.max_failures
                report({"kind": "restarted", "lost": True, "workers": True})


@contextmanager
def _actors(scaling: ScalingConfig) -> Iterator[tuple[ActorHandle, list[ActorHandle]]]:
    """The coordinator, and the workers and parameter servers, all serving; killed at the end."""
    held = {"CPU": scaling.cpus_per_worker, "GPU": scaling.gpus_per_worker}
    # All or none: two trainings that had half their workers each would wait for each other.
    group = placement_group([held] * scaling.most_workers)
    ray.get(group.ready())

    def place(number: int) -> PlacementGroupSchedulingStrategy:
        return PlacementGroupSchedulingStrategy(group, number % scaling.most_workers)

    def server(number: int, threads: int, cpus: int, gpus: int) -> ActorHandle:
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_concurrency=2, scheduling_strategy=place(number))
        return remote(Server).remote(threads)

    cores, gpus = scaling.cpus_per_worker, scaling.gpus_per_worker
    by_role = {
        "worker": [server(i, cores, cores, gpus) for i in range(scaling.most_workers)],
        "ps": [server(i, 1, 0, 0) for i in range(scaling.parameter_servers)],
    }
    servers = [server for those in by_role.values() for server in those]
    actors = list(servers)
    try:
        addresses = {role: ray.get([server.address.remote() for server in by_role[role]]) for role in by_role}
        ray.get([
            server.start.remote(addresses, role, index)
            for role, those in by_role.items()
            for index, server in enumerate(those)
        ])  # fmt: skip
        leader = ray.remote(num_cpus=0, scheduling_strategy=place(0))(Coordinator)
        coordinator = leader.remote(addresses, by_role["worker"])
        actors.append(coordinator)
        yield coordinator, servers
    finally:
        for actor in actors:
            ray.kill(actor)
        remove_placement_group(group)


def _train(
    coordinator: ActorHandle, servers: Sequence[ActorHandle], job: TrainJob, run: RunDirectory, report: Report
) -> None:
    """Raises: RayActorError when an actor dies, for which TensorFlow alone would wait for ever."""
    training = coordinator.train.remote(job, run, report)
    stays = [server.stay.remote() for server in servers]
    first, _ = ray.wait([training, *stays], num_returns=1)
    try:
        ray.get(first)
    except RayTaskError as error:
        if isinstance(error.cause, InputError | FloatingPointError):
            raise type(error.cause)(str(error.cause)) from None
        # A lost process shows as an error of TensorFlow first.
        died, _ = ray.wait(stays, num_returns=1, timeout=_NOTICE_SECONDS)
        ray.get(died)
        raise
