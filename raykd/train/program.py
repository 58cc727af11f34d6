"""A compiled training program: model, optimizer and step, reused by every training of the same shape.

Temperature, alpha and the learning rate are variables of the program, so that both stages, all paired
students and all trials of a sweep run the same compiled step.

Axes: B batch, K heads, N teachers, C classes.
"""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from raykd.artifacts import fingerprint
from raykd.models.build import build
from raykd.train.checkpoint import Values, assign, values_of
from raykd.train.job import TrainJob

_PROGRAMS: dict[str, "Program"] = {}


class _WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 to the peak, then falls to 0 as a half cosine."""

    def __init__(self) -> None:
        self.peak, self.warmup, self.total = (tf.Variable(1.0, trainable=False) for _ in range(3))

    def __call__(self, step: Any) -> tf.Tensor:
        done = tf.cast(step, tf.float32) + 1.0
        falling = tf.clip_by_value((done - self.warmup) / tf.maximum(self.total - self.warmup, 1.0), 0.0, 1.0)
        rate = tf.where(done < self.warmup, done / self.warmup, 0.5 + 0.5 * tf.cos(falling * 3.14159265))
        return self.peak * rate

    def get_config(self) -> dict[str, Any]:
        """Its settings are variables that each training sets."""
        return {}


class Program:
    """Model, optimizer and step for one shape of training; `start` sets everything that varies."""

    def __init__(self, job: TrainJob, strategy: tf.distribute.Strategy) -> None:
        self._batch_size = job.training.batch_size
        self._clip_norm = job.training.clip_norm
        self._objective = job.objective
        self._strategy = strategy
        with strategy.scope():
            self.model = build(job.model, seed=0)
            self._rate = _WarmupCosine()
            self._alpha, self._temperature = (tf.Variable(1.0, trainable=False) for _ in range(2))
            self.optimizer = keras.optimizers.AdamW(self._rate, weight_decay=job.training.weight_decay)
            self.optimizer.build(self.model.trainable_variables)
        self._fresh_optimizer = values_of(self.optimizer.variables)
        self._compiled_step = tf.function(self._step, jit_compile=job.training.jit_compile)
        self.steps = tf.function(self._steps)

    def start(self, job: TrainJob, total_steps: int, weights: Values) -> None:
        """Set weights, optimizer and the job's own numbers as at the beginning of a training."""
        assign(self.model.variables, weights, job.folder)
        assign(self.optimizer.variables, self._fresh_optimizer, job.folder)
        self._rate.peak.assign(job.training.learning_rate)
        self._rate.warmup.assign(float(max(1, round(job.training.warmup * total_steps))))
        self._rate.total.assign(float(total_steps))
        self._alpha.assign(job.alpha)
        self._temperature.assign(job.temperature)

    def _steps(self, batches: Iterator[Any], count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`count` steps in one call; returns the summed loss, the rows, and the seconds waited for data."""
        loss, rows, waited = tf.constant(0.0), tf.constant(0.0), tf.constant(0.0, tf.float64)
        for _ in tf.range(count):
            asked = tf.timestamp()
            with tf.control_dependencies([asked]):
                batch = next(batches)
            with tf.control_dependencies(tf.nest.flatten(batch)):
                waited += tf.timestamp() - asked
            step_loss, step_rows = self._strategy.run(self._compiled_step, args=(batch,))
            loss += self._strategy.reduce(tf.distribute.ReduceOp.SUM, step_loss, axis=None)
            rows += self._strategy.reduce(tf.distribute.ReduceOp.SUM, step_rows, axis=None)
        return loss, rows, waited

    def _step(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits_BKC = self.model(batch["inputs"], training=True)
            teachers_BNC = batch.get("teacher_logits")
            loss_B = self._objective(batch["label"], logits_BKC, teachers_BNC, self._alpha, self._temperature)
            loss = tf.reduce_sum(loss_B * batch["weight"])
            scaled = loss / self._batch_size
        gradients, _ = tf.clip_by_global_norm(tape.gradient(scaled, variables), self._clip_norm)
        self.optimizer.apply(gradients, variables)
        return loss, tf.reduce_sum(batch["weight"])


def program_for(job: TrainJob, strategy: tf.distribute.Strategy) -> Program:
    """The program of this job's shape, compiled when it first runs in this process."""
    training = job.training.model_dump(include={"batch_size", "clip_norm", "weight_decay", "jit_compile"})
    key = fingerprint(job.model.key, vars(job.objective), len(job.logits), training, type(strategy).__name__)
    if key not in _PROGRAMS:
        _PROGRAMS[key] = Program(job, strategy)
    return _PROGRAMS[key]
