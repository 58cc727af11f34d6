"""Optimizers for the training program: all weights in one row, and a schedule that a training can vary.

AdamW and SGD treat every weight alike, so a row of all of them takes the few operations that each variable would take:
less to trace and to compile, and fewer operations in a step that isn't compiled.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from raykd.config import TrainingConfig


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 to the peak, then falls to 0 as a half cosine."""

    def __init__(self) -> None:
        self.peak, self.warmup, self.total = (tf.Variable(1.0, trainable=False) for _ in range(3))

    def __call__(self, step: Any) -> tf.Tensor:
        """The rate of a step, counted from 0."""
        done = tf.cast(step, tf.float32) + 1.0
        falling = tf.clip_by_value((done - self.warmup) / tf.maximum(self.total - self.warmup, 1.0), 0.0, 1.0)
        rate = tf.where(done < self.warmup, done / self.warmup, 0.5 + 0.5 * tf.cos(falling * 3.14159265))
        return self.peak * rate

    def get_config(self) -> dict[str, Any]:
        """Its settings are variables that each training sets."""
        return {}


class _Summed:
    """For gradients that are summed over the replicas already: clipping needs the sum, not a part of it."""

    def _all_reduce_sum_gradients(self, gradients_and_variables: Any) -> Any:
        return gradients_and_variables


class _Row:
    """Updates the values of a `keras.StatelessScope`: the variables of tf.distribute can't be updated in XLA."""

    def assign(self, variable: Any, value: Any) -> None:
        """Keep the new value in the scope."""
        variable.assign(value)

    def assign_add(self, variable: Any, value: Any) -> None:
        """Keep the sum in the scope."""
        variable.assign_add(value)

    def assign_sub(self, variable: Any, value: Any) -> None:
        """Keep the difference in the scope."""
        variable.assign_sub(value)

    def add_variable_from_reference(self, reference: Any, name: str | None = None, initializer: Any = "zeros") -> Any:
        """A variable like the reference, whose own value isn't to be had."""
        return self.add_variable(reference.shape, initializer, reference.dtype, name=name)  # type: ignore[attr-defined]

    def _var_key(self, variable: Any) -> int:
        return id(variable)  # In the scope a variable's value is a tensor, which has no name of its own.

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        for variable in variables if self.weight_decay else ():  # type: ignore[attr-defined]
            variable.assign_sub(variable * self.weight_decay * self.learning_rate)  # type: ignore[attr-defined]

    def _backend_update_step(self, gradients: Sequence[Any], variables: Sequence[Any], rate: Any) -> None:
        for gradient, variable in zip(gradients, variables, strict=True):
            self.update_step(gradient, variable, rate)  # type: ignore[attr-defined]


class RowAdamW(_Row, keras.optimizers.AdamW):
    """AdamW of all weights in one row."""


class RowSGD(_Row, keras.optimizers.SGD):
    """SGD of all weights in one row."""


class SummedAdamW(_Summed, keras.optimizers.AdamW):
    """AdamW for summed gradients."""


class SummedSGD(_Summed, keras.optimizers.SGD):
    """SGD for summed gradients."""


_ROW = {"adamw": RowAdamW, "sgd": RowSGD}
_SUMMED = {"adamw": SummedAdamW, "sgd": SummedSGD}


def optimizer_of(training: TrainingConfig, rate: WarmupCosine, variables: Sequence[Any], *, here: bool) -> Any:
    """The optimizer that a training's settings name, built for `update` of these variables.

    Args: here: whether the variables are in this process, for it alone to update.
    """
    settings = {"weight_decay": training.weight_decay, "global_clipnorm": training.clip_norm}
    scaled = training.precision == "mixed_float16"
    optimizer: Any = (_ROW if here and not scaled else _SUMMED)[training.optimizer](rate, **settings)
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer
    optimizer.build([_row_of(variables)] if in_a_row(optimizer) else list(variables))
    return optimizer


def _row_of(variables: Sequence[Any]) -> Any:
    """Stands for all weights; it holds no values, for which the scope would have no use."""
    with keras.StatelessScope(initialize_variables=False):
        return keras.Variable("zeros", shape=(sum(map(_size, variables)),), dtype="float32", name="weights")


def in_a_row(optimizer: Any) -> bool:
    """Whether it updates all weights in one row, which XLA can compile under every strategy."""
    return isinstance(optimizer, _Row)


def update(optimizer: Any, gradient: tf.Tensor, variables: Sequence[Any], own: int) -> None:
    """Update this replica's weights. Call it in a replica.

    Args: gradient: of all weights in one row, summed over all replicas; variables: those that the optimizer was made
    for; own: which of the replicas in this process.
    """
    if not in_a_row(optimizer):
        optimizer.apply(_cut(gradient, variables), variables)
        return
    [weights] = optimizer._trainable_variables
    row = tf.concat([tf.reshape(variable.value, [-1]) for variable in variables], axis=0)
    states = optimizer.variables
    mapping = [(weights, row), *((state, tf.convert_to_tensor(state.value)) for state in states)]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        optimizer.apply([gradient], [weights])
    values = _cut(scope.get_current_value(weights), variables)
    constrained = [
        value if variable.constraint is None else variable.constraint(value)
        for variable, value in zip(variables, values, strict=True)
    ]
    strategy = tf.distribute.get_strategy()
    for variable, value in zip(
        [*variables, *states], [*constrained, *map(scope.get_current_value, states)], strict=True
    ):
        # The gradients are equal in all replicas, so their copies of a variable stay equal.
        strategy.experimental_local_results(variable.value)[own].assign(value)


def _size(variable: Any) -> int:
    return math.prod(variable.shape)


def _cut(row: tf.Tensor, variables: Sequence[Any]) -> list[tf.Tensor]:
    """The row's parts, in the variables' shapes."""
    parts = tf.split(row, list(map(_size, variables)))
    return [tf.reshape(part, variable.shape) for part, variable in zip(parts, variables, strict=True)]
