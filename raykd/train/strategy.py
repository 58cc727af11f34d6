"""tf.distribute strategies by name, and the threads that a process computes with."""

import tensorflow as tf


def use_threads(threads: int) -> None:
    """Compute with so many threads. Call once in a process, before any TensorFlow operation.

    TensorFlow's own switch for determinism stays off: it forbids the clock that measures how long a step
    waits for data, and the operations used here give the same result every time on processors anyway.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(2)  # One computes, one feeds.


def one_device() -> tf.distribute.Strategy:
    """Everything on this process's first accelerator, or its processor."""
    accelerators = tf.config.list_logical_devices("GPU")
    return tf.distribute.OneDeviceStrategy(accelerators[0].name if accelerators else "/cpu:0")
