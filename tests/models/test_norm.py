"""Layer normalisation in one pass, where TensorFlow's own kernels run a graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from raykd.models.norm import LayerNorm, for_kernels


def _operations(function: tf.types.experimental.ConcreteFunction) -> set[str]:
    return {node.op for node in function.graph.as_graph_def().node}


def _layer(width: int, seed: int) -> LayerNorm:
    rng = np.random.default_rng(seed)
    layer = LayerNorm(epsilon=1e-6)
    layer.build((None, None, width))
    layer.set_weights([rng.normal(size=width), rng.normal(size=width)])
    return layer


@pytest.mark.parametrize("shape", [(5, 7, 32), (3, 16)])
def test_one_pass_gives_what_keras_gives(shape: tuple[int, ...]) -> None:
    layer = _layer(shape[-1], seed=0)
    states = np.random.default_rng(1).normal(3.0, 2.0, shape).astype(np.float32)
    expected = layer(states)

    @tf.function(input_signature=[tf.TensorSpec([None] * (len(shape) - 1) + [shape[-1]])])
    def in_one_pass(states: tf.Tensor) -> tf.Tensor:
        with for_kernels():
            return layer(states)

    np.testing.assert_allclose(in_one_pass(states), expected, rtol=0, atol=1e-5)
    assert "FusedBatchNormV3" in _operations(in_one_pass.get_concrete_function())
    assert "FusedBatchNormV3" not in _operations(
        tf.function(layer).get_concrete_function(tf.TensorSpec(states.shape))
    ), "what XLA or a converter reads is Keras's own form"


def test_other_precisions_stay_with_keras() -> None:
    layer = LayerNorm(epsilon=1e-6, dtype="mixed_bfloat16")
    layer.build((None, 8))
    with for_kernels():
        graph = tf.function(layer).get_concrete_function(tf.TensorSpec((4, 8), tf.bfloat16))
    assert "FusedBatchNormV3" not in _operations(graph)


def test_it_is_saved_and_loaded() -> None:
    layer = _layer(4, seed=2)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(copy, LayerNorm)
    assert copy.epsilon == layer.epsilon
