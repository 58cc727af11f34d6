"""Optimizers for the training program: updates that XLA compiles under every strategy, and a schedule it can vary."""

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


class _Pure:
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

    def _var_key(self, variable: Any) -> int:
        return id(variable)  # In the scope a variable's value is a tensor, which has no name of its own.

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        for variable in variables if self.weight_decay else ():  # type: ignore[attr-defined]
            variable.assign_sub(variable * self.weight_decay * self.learning_rate)  # type: ignore[attr-defined]

    def _backend_update_step(self, gradients: Sequence[Any], variables: Sequence[Any], rate: Any) -> None:
        for gradient, variable in zip(gradients, variables, strict=True):
            self.update_step(gradient, variable, rate)  # type: ignore[attr-defined]


class PureAdamW(_Pure, keras.optimizers.AdamW):
    """AdamW as a function of values."""


class PureSGD(_Pure, keras.optimizers.SGD):
    """SGD as a function of values."""


class SummedAdamW(_Summed, keras.optimizers.AdamW):
    """AdamW for summed gradients."""


class SummedSGD(_Summed, keras.optimizers.SGD):
    """SGD for summed gradients."""


_PURE = {"adamw": PureAdamW, "sgd": PureSGD}
_SUMMED = {"adamw": SummedAdamW, "sgd": SummedSGD}


def optimizer_of(training: TrainingConfig, rate: WarmupCosine, *, compiled: bool) -> Any:
    """The optimizer that a training's settings name, for `update`. Args: compiled: whether XLA compiles the update."""
    settings = {"weight_decay": training.weight_decay, "global_clipnorm": training.clip_norm}
    scaled = training.precision == "mixed_float16"
    optimizer = (_PURE if compiled and not scaled else _SUMMED)[training.optimizer](rate, **settings)
    return keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer


def compiles(optimizer: Any) -> bool:
    """Whether XLA can compile this optimizer's `update` under every strategy."""
    return isinstance(optimizer, _Pure)


def update(optimizer: Any, gradients: Sequence[tf.Tensor], variables: Sequence[Any], own: int) -> None:
    """Update this replica's weights. Call it in a replica.

    Args: gradients: summed over all replicas; variables: those that the optimizer was built with; own: which of the
    replicas in this process.
    """
    if not compiles(optimizer):
        optimizer.apply(gradients, variables)
        return
    changing = [*variables, *optimizer.variables]
    values = [tf.convert_to_tensor(variable.value) for variable in changing]
    with keras.StatelessScope(state_mapping=list(zip(changing, values, strict=True))) as scope:
        optimizer.apply(gradients, variables)
    strategy = tf.distribute.get_strategy()
    for variable in changing:
        # The gradients are equal in all replicas, so their copies of a variable stay equal.
        copies = strategy.experimental_local_results(variable.value)
        copies[own].assign(scope.get_current_value(variable))
