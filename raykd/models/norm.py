"""Layer normalisation that TensorFlow's own kernels compute in one pass.

Keras's takes about ten, each over all states; XLA makes one of them, but where a graph isn't compiled they are a third
of a small transformer's prediction.

Axes: N rows of states, W width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf

_FOR_KERNELS = ContextVar("for_kernels", default=False)


@contextmanager
def for_kernels() -> Iterator[None]:
    """What is traced within is run by TensorFlow's own kernels: neither XLA nor a converter reads it."""
    token = _FOR_KERNELS.set(True)
    try:
        yield
    finally:
        _FOR_KERNELS.reset(token)


@keras.saving.register_keras_serializable(package="raykd")
class LayerNorm(keras.layers.LayerNormalization):
    """Normalise over the last axis, scale and shift (Ba et al. 2016, eq. 4); float32 in one pass `for_kernels`."""

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        if _FOR_KERNELS.get() and self.compute_dtype == "float32":
            return _in_one_pass(inputs, self.epsilon) * self.gamma.value + self.beta.value
        return super().call(inputs)


def _in_one_pass(states: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Normalised states: each row is one channel of a batch normalisation.

    With the scale and the shift behind it, Grappler knows this form, which was Keras 2's, and puts oneDNN's layer
    normalisation in its place; elsewhere the batch normalisation is computed.
    """
    shape = tf.shape(states)
    rows = tf.reduce_prod(shape[:-1])
    channels_1NW1 = tf.reshape(states, tf.stack([1, rows, states.shape[-1], 1]))
    none = tf.constant([], tf.float32)
    normalised, *_ = tf.raw_ops.FusedBatchNormV3(
        x=channels_1NW1,
        scale=tf.fill(rows[None], 1.0),
        offset=tf.fill(rows[None], 0.0),
        mean=none,
        variance=none,
        epsilon=epsilon,
        data_format="NCHW",
        is_training=True,
    )
    return tf.reshape(normalised, shape)
