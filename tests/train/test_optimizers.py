"""All weights in one row are updated as Keras updates each variable by itself."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from raykd.config import TrainingConfig
from raykd.train.optimizers import WarmupCosine, in_a_row, optimizer_of, update

SHAPES = ((3, 4), (4,), (2, 2, 2))
STEPS = 5


def _variables() -> list[Any]:
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in SHAPES]
    variables[-1].constraint = keras.constraints.NonNeg()
    return variables


def _gradients() -> list[list[tf.Tensor]]:
    rng = np.random.default_rng(1)
    return [[tf.constant(rng.normal(size=shape), tf.float32) for shape in SHAPES] for _ in range(STEPS)]


def _row(gradients: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_row_is_updated_as_keras_updates_each_variable(name: Any, compiled: bool) -> None:
    training = TrainingConfig(optimizer=name, weight_decay=0.1, clip_norm=1.0, learning_rate=0.3)
    ours, theirs = _variables(), _variables()
    optimizer = optimizer_of(training, WarmupCosine(), ours, here=True)
    usual = {"adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}[name]
    expected = usual(WarmupCosine(), weight_decay=0.1, global_clipnorm=1.0)
    take = tf.function(lambda gradient: update(optimizer, gradient, ours, 0), jit_compile=compiled)
    for gradients in _gradients():
        take(_row(gradients))
        expected.apply(gradients, theirs)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=0, atol=1e-6)
    assert (ours[-1].numpy() >= 0).all()
    assert int(optimizer.iterations) == STEPS


def test_a_row_needs_no_memory_beside_the_optimizers_own() -> None:
    weights = sum(int(np.prod(shape)) for shape in SHAPES)
    optimizer = optimizer_of(TrainingConfig(optimizer="adamw"), WarmupCosine(), _variables(), here=True)
    assert [state.shape.as_list() for state in optimizer.variables] == [[], [weights], [weights]]
    assert in_a_row(optimizer)


def test_scaled_losses_and_shared_variables_are_updated_one_by_one() -> None:
    scaled = optimizer_of(TrainingConfig(precision="mixed_float16"), WarmupCosine(), _variables(), here=True)
    shared = optimizer_of(TrainingConfig(), WarmupCosine(), _variables(), here=False)
    assert not in_a_row(scaled)
    assert not in_a_row(shared)
