"""tf.distribute strategies by name, and what a process computes with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ray
import tensorflow as tf

Published = Callable[[str, dict[str, Any]], None]
"""Takes the path of a checkpoint and the figures beside it; every worker calls it equally often."""


@dataclass(frozen=True)
class Place:
    """Where a training runs: one worker of some, under a strategy.

    Args:
        published: called after each checkpoint, by every worker.
        updates_per_step: asynchronous updates that make up one step, each of an equal part of the global batch.
        compiles: whether XLA can compile the step here: its variables must be in this process.
        profiles: whether to find out where the time goes.
    """

    strategy: tf.distribute.Strategy
    rank: int = 0
    workers: int = 1
    published: Published | None = None
    updates_per_step: int = 1
    compiles: bool = True
    profiles: bool = False

    @property
    def writes(self) -> bool:
        """Whether this worker writes for all."""
        return self.rank == 0

    @property
    def replicas(self) -> int:
        """Replicas of this worker, each with an equal part of its rows."""
        replicas: int = self.strategy.num_replicas_in_sync // self.workers
        return replicas

    def sum_over_workers(self, values: Any) -> Any:
        """Float64 [n] -> the sums over all workers, equal in each of them. Every worker must call it."""
        return values if self.workers == 1 else self._sum(tf.constant(values)).numpy()

    @cached_property
    def _sum(self) -> Any:
        def of_replica(values: tf.Tensor) -> tf.Tensor:
            """One replica of each worker brings its values, the others nothing."""
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return tf.where(replica % self.replicas == 0, values, 0.0)

        def over_workers(values: tf.Tensor) -> tf.Tensor:
            brought = self.strategy.run(of_replica, args=(values,))
            return self.strategy.reduce(tf.distribute.ReduceOp.SUM, brought, axis=None)

        return tf.function(over_workers, input_signature=[tf.TensorSpec([None], tf.float64)], autograph=False)


def use_threads(threads: int) -> None:
    """Compute with so many threads. Call once in a process, before any TensorFlow operation.

    TensorFlow's own switch for determinism stays off: it forbids the clock that measures how long a step
    waits for data, and the operations used here give the same result every time on processors anyway.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(2)  # One computes, one feeds.


def use_own_devices() -> None:
    """In a Ray worker, see no accelerator where Ray has given this process none: it hides them from nobody else.

    Call once in a process, before any TensorFlow operation.
    """
    context = ray.get_runtime_context() if ray.is_initialized() else None
    if context is not None and context.worker.mode == ray.WORKER_MODE and not context.get_accelerator_ids()["GPU"]:
        tf.config.set_visible_devices([], "GPU")


def strategy_named(name: str) -> tf.distribute.Strategy:
    """The strategy of this name, over the devices that this process sees.

    Args: name: `one_device` (the first accelerator or the processor), `mirrored` (all accelerators, or all
    logical processors), `multi_worker_mirrored` (one replica or more in each worker that TF_CONFIG names).
    """
    if name == "multi_worker_mirrored":
        return tf.distribute.MultiWorkerMirroredStrategy()  # Before any other operation: it opens the connections.
    devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    devices = devices or [device.name for device in tf.config.list_logical_devices("CPU")]
    return (
        tf.distribute.MirroredStrategy(devices) if name == "mirrored" else tf.distribute.OneDeviceStrategy(devices[0])
    )
