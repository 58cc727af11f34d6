"""What the steps of one call into TensorFlow add up to, and the loop that adds it up."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

Batch = dict[str, tf.Tensor]


class Totals(NamedTuple):
    """What some steps add up to: loss and rows of all workers, seconds waited for data in this one.

    `bad` is the first step, counted from 0, whose loss was not finite, or -1.
    """

    loss: tf.Tensor
    rows: tf.Tensor
    waited: tf.Tensor
    bad: tf.Tensor

    def plus(self, step: tf.Tensor, loss: tf.Tensor, rows: tf.Tensor, waited: tf.Tensor) -> "Totals":
        """With one more step, that of this number."""
        bad = tf.where(tf.logical_or(self.bad >= 0, tf.math.is_finite(loss)), self.bad, step)
        return Totals(self.loss + loss, self.rows + rows, self.waited + waited, bad)

    def then(self, first: tf.Tensor, later: "Totals") -> "Totals":
        """With what the steps from number `first` add up to."""
        bad = tf.where(tf.logical_or(self.bad >= 0, later.bad < 0), self.bad, first + later.bad)
        return Totals(self.loss + later.loss, self.rows + later.rows, self.waited + later.waited, bad)


def next_of(batches: Any) -> tuple[Batch, tf.Tensor]:
    """A tf.data iterator's next batch, and the seconds waited for it."""
    asked = tf.timestamp()
    with tf.control_dependencies([asked]):
        batch: Batch = batches.get_next()
    with tf.control_dependencies(tf.nest.flatten(batch)):
        return batch, tf.timestamp() - asked


def repeated(one: Callable[[tf.Tensor, Totals], tuple[tf.Tensor, Totals]], count: tf.Tensor) -> Totals:
    """What `count` turns add up to, one after the other. Args: one: of a turn's number and the sums so far."""
    start = tf.constant(0), _none()
    totals: Totals
    _, totals = tf.while_loop(lambda turn, _: turn < count, one, start, parallel_iterations=1, maximum_iterations=count)
    return totals


def _none() -> Totals:
    return Totals(tf.constant(0.0), tf.constant(0.0), tf.constant(0.0, tf.float64), tf.constant(-1))
