"""Asynchronous training under ParameterServerStrategy: Ray actors around a ClusterCoordinator.

Variables live in the parameter servers. Each worker computes updates from its own streams of the feed, which
it serves to itself through tf.data's service, so no row passes the coordinator. Workers don't wait for each
other, so weights differ a little from run to run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
import tensorflow as tf
from ray.actor import ActorHandle

from raykd.artifacts import RunDirectory
from raykd.config import ScalingConfig
from raykd.data.feed import FEED_CPUS
from raykd.data.shards import Manifest, read_manifest
from raykd.quiet import quiet
from raykd.train.batches import dataset, signature
from raykd.train.job import Report, TrainJob
from raykd.train.loop import TakeSteps, train
from raykd.train.program import Program, Totals
from raykd.train.strategy import Place, use_threads

_STEPS_PER_CALL = 8  # Enough to hide the call to a worker, few enough to spread over the workers.


@dataclass(frozen=True)
class Source:
    """Where a worker reads its batches: its own tf.data service."""

    address: str
    dataset_id: int


class Server:
    """One tf.distribute.Server: a worker or a parameter server."""

    def __init__(self, threads: int) -> None:
        quiet()
        use_threads(threads)

    def address(self) -> str:
        """Host and a free port of this node, for the cluster's description."""
        import socket

        self._host = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((self._host, 0))
            return f"{self._host}:{probe.getsockname()[1]}"

    def start(self, cluster: dict[str, list[str]], role: str, index: int) -> None:
        """Serve until the actor ends."""
        self._server = tf.distribute.Server(tf.train.ClusterSpec(cluster), job_name=role, task_index=index)

    def feed(self, job: TrainJob, run: RunDirectory, rank: int, workers: int, steps: tuple[int, int]) -> Source:
        """Offer this worker's part of the batches to the dataset that runs in this process."""
        service = tf.data.experimental.service
        self._dispatcher = service.DispatchServer()
        address = self._dispatcher.target.partition("://")[2]
        self._data_worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
        own = dataset(job, run, read_manifest(run), Place(tf.distribute.get_strategy(), rank, workers), *steps)
        return Source(self._dispatcher.target, int(service.register_dataset(self._dispatcher.target, own)))


class Coordinator:
    """Hands the steps of one training to the workers."""

    def __init__(self, cluster: dict[str, list[str]], servers: Sequence[ActorHandle]) -> None:
        quiet()
        self._servers = servers
        spec = tf.train.ClusterSpec(cluster)
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec, rpc_layer="grpc")
        self._strategy = tf.distribute.ParameterServerStrategy(resolver)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(self._strategy)

    def train(self, job: TrainJob, run: RunDirectory, report: Report) -> None:
        """Train to the end; the loop, its checkpoints and its validation are those of every strategy."""
        place = Place(self._strategy, updates_per_step=len(self._servers), compiles=False)
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
        workers = len(self._servers)
        # A fast worker takes steps for a slow one, so each must be able to read on.
        steps = start, start + (stop - start) * workers
        feeds = [server.feed.remote(job, run, rank, workers, steps) for rank, server in enumerate(self._servers)]
        spec = signature(job, manifest, job.feed(run, manifest, 0, workers).rows)
        batches = iter(self._coordinator.create_per_worker_dataset(self._dataset_of(ray.get(feeds), spec)))

        def take(count: int) -> Totals:
            left, results = count * workers, []
            while left:
                results.append(
                    self._coordinator.schedule(program.steps, args=(batches, tf.constant(min(left, _STEPS_PER_CALL))))
                )
                left -= min(left, _STEPS_PER_CALL)
            self._coordinator.join()
            return _sum([Totals(*self._coordinator.fetch(result)) for result in results])

        return take

    def _dataset_of(self, sources: Sequence[Source], spec: dict[str, tf.TensorSpec]) -> Any:
        """A function that makes, in each worker, the dataset of that worker's own source."""

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            read = [lambda source=source: tf.data.experimental.to_variant(_served(source, spec)) for source in sources]
            variant = tf.switch_case(tf.cast(context.input_pipeline_id, tf.int32), read)
            return tf.data.experimental.from_variant(variant, tf.data.DatasetSpec(spec).element_spec)

        return lambda: self._strategy.distribute_datasets_from_function(of_worker)


def _served(source: Source, spec: dict[str, tf.TensorSpec]) -> tf.data.Dataset:
    return tf.data.experimental.service.from_dataset_id(
        tf.data.experimental.service.ShardingPolicy.OFF, source.address, source.dataset_id, element_spec=spec
    )


def _sum(totals: Sequence[Totals]) -> Totals:
    bad = [int(one.bad) for one in totals if int(one.bad) >= 0]
    workers_waited = sum(float(one.waited) for one in totals)
    loss, rows = (sum(float(getattr(one, name)) for one in totals) for name in ("loss", "rows"))
    return Totals(loss, rows, workers_waited, bad[0] if bad else -1)


def train_on_parameter_servers(job: TrainJob, run: RunDirectory, report: Report, scaling: ScalingConfig) -> None:
    """Start the actors, train, and end them."""
    worker = ray.remote(num_cpus=scaling.cpus_per_worker - FEED_CPUS, num_gpus=scaling.gpus_per_worker)(Server)
    workers = [worker.remote(scaling.cpus_per_worker) for _ in range(scaling.most_workers)]
    servers = [ray.remote(num_cpus=0)(Server).remote(1) for _ in range(scaling.parameter_servers)]
    actors = [*workers, *servers]
    try:
        cluster = {
            "worker": ray.get([actor.address.remote() for actor in workers]),
            "ps": ray.get([actor.address.remote() for actor in servers]),
        }
        started = [actor.start.remote(cluster, "worker", index) for index, actor in enumerate(workers)]
        started += [actor.start.remote(cluster, "ps", index) for index, actor in enumerate(servers)]
        ray.get(started)
        coordinator = ray.remote(num_cpus=0)(Coordinator).remote(cluster, workers)
        actors.append(coordinator)
        ray.get(coordinator.train.remote(job, run, report))
    finally:
        for actor in actors:
            ray.kill(actor)
