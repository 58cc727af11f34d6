"""The training loop: one step function under any tf.distribute strategy, several steps per call.

Axes: B batch, K heads, N teachers, C classes.
"""

import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.config import TrainingConfig
from raykd.data.feed import Feed, Reader
from raykd.data.shards import Manifest
from raykd.models.build import build
from raykd.train import checkpoint as checkpoints
from raykd.train.checkpoint import Checkpoint, Progress
from raykd.train.job import Report, TrainJob
from raykd.train.predict import Predictor, probabilities_of
from raykd.train.scalars import ScalarLog

_REPORT_SECONDS = 0.5
_PREFETCHED = 8  # batches


def train(job: TrainJob, run: RunDirectory, manifest: Manifest, strategy: tf.distribute.Strategy, report: Report) -> None:
    """Train a model, from its last checkpoint if there is one, and publish its weights and history.

    The same job gives the same weights, interrupted or not. Raises: FloatingPointError when the loss is no
    longer finite, naming the step.
    """
    with strategy.scope():
        model = build(job.model, job.seed)
        if job.initial is not None:
            checkpoints.assign(model.variables, checkpoints.load_weights(run, job.initial), job.initial)
        steps = job.order(manifest).steps_per_epoch
        optimizer = _optimizer(job.training, steps * job.training.epochs)
        optimizer.build(model.trainable_variables)
    progress, best = Progress(), checkpoints.values_of(model.variables)
    if (saved := checkpoints.load_checkpoint(run, job.folder)) is not None:
        checkpoints.assign(model.variables, saved.model, job.folder)
        checkpoints.assign(optimizer.variables, saved.optimizer, job.folder)
        progress, best = saved.progress, saved.best
    trainer = _Trainer(job, model, optimizer, strategy)
    validation = _Validation(model, Reader(run, manifest.of("validation"), manifest.inputs))
    feed = job.feed(run, manifest)
    batches = iter(_dataset(feed, trainer.signature(manifest), progress.step, steps * job.training.epochs))
    with ScalarLog(run, job.folder) as log:
        while not _finished(job, progress):
            record = trainer.epoch(batches, progress, steps, report)
            record.update(validation.measure())
            _note(job, progress, record)
            if progress.best_epoch == len(progress.history) - 1:
                best = checkpoints.values_of(model.variables)
            log.write(record)
            state = Checkpoint(
                progress, checkpoints.values_of(model.variables), checkpoints.values_of(optimizer.variables), best
            )
            checkpoints.save_checkpoint(run, job.folder, state)
    checkpoints.save_weights(run, job.folder, best)
    run.write_json(f"{job.folder}/history.json", progress.history)
    checkpoints.delete_checkpoint(run, job.folder)


def _finished(job: TrainJob, progress: Progress) -> bool:
    if len(progress.history) == job.training.epochs:
        return True
    return job.keep_best and progress.epochs_without_gain() >= job.training.patience


def _note(job: TrainJob, progress: Progress, record: dict[str, Any]) -> None:
    """Append the epoch's record and see whether it's the best."""
    progress.history.append(record)
    progress.seconds += record["seconds"]
    if not job.keep_best or record["validation_loss"] < progress.best_loss:
        progress.best_loss = record["validation_loss"]
        progress.best_epoch = len(progress.history) - 1


def _optimizer(training: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """AdamW; the rate rises linearly, then falls to 0 as a cosine."""
    warmup = max(1, round(training.warmup * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=training.learning_rate, warmup_steps=warmup
    )
    return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)


def _dataset(feed: Feed, signature: dict[str, tf.TensorSpec], start: int, stop: int) -> tf.data.Dataset:
    """The feed's batches, prepared ahead of the step that reads them."""
    batches = tf.data.Dataset.from_generator(lambda: feed.batches(start, stop), output_signature=signature)
    return batches.prefetch(_PREFETCHED)


class _Trainer:
    """Runs epochs of training steps."""

    def __init__(
        self, job: TrainJob, model: keras.Model, optimizer: keras.optimizers.Optimizer, strategy: tf.distribute.Strategy
    ) -> None:
        self._job = job
        self._model = model
        self._optimizer = optimizer
        self._strategy = strategy
        self._steps = tf.function(self._run_steps)

    def signature(self, manifest: Manifest) -> dict[str, tf.TensorSpec]:
        """Shapes and types of a batch; lengths of tokens vary."""
        inputs = manifest.inputs
        width = None if inputs.kind == "tokens" else inputs.length
        signature = {
            "inputs": tf.TensorSpec((None, width), inputs.dtype),
            "label": tf.TensorSpec((None,), tf.int32),
            "weight": tf.TensorSpec((None,), tf.float32),
        }
        if self._job.logits:
            shape = (None, len(self._job.logits), manifest.classes)
            signature["teacher_logits"] = tf.TensorSpec(shape, tf.float16)
        return signature

    def epoch(self, batches: Iterator[Any], progress: Progress, steps: int, report: Report) -> dict[str, Any]:
        """Train to the end of the epoch and return its record."""
        epoch, begun, reported = progress.step // steps, time.perf_counter(), 0.0
        left = (epoch + 1) * steps - progress.step
        totals = np.zeros(3)  # loss, rows, seconds waited
        while left:
            count = min(left, self._job.training.steps_per_call)
            totals += np.array([float(value) for value in self._steps(batches, tf.constant(count))])
            progress.step += count
            left -= count
            if not np.isfinite(totals[0]):
                raise FloatingPointError(
                    f"{self._job.folder}: the loss is {totals[0]} after step {progress.step}; "
                    "lower the learning rate; the last checkpoint is of the epoch before"
                )
            now = time.perf_counter()
            if now - reported > _REPORT_SECONDS:
                reported = now
                report(self._event(progress, steps, totals, now - begun))
        seconds = time.perf_counter() - begun
        return {
            "epoch": epoch,
            "step": progress.step,
            "train_loss": totals[0] / totals[1],
            "seconds": seconds,
            "examples_per_second": totals[1] / seconds,
            "stall_fraction": totals[2] / seconds,
        }

    def _event(self, progress: Progress, steps: int, totals: Any, seconds: float) -> dict[str, Any]:
        return {
            "folder": self._job.folder,
            "epoch": (progress.step - 1) // steps,
            "epochs": self._job.training.epochs,
            "share": progress.step / (steps * self._job.training.epochs),
            "loss": totals[0] / max(totals[1], 1.0),
            "examples_per_second": totals[1] / seconds,
            "stall_fraction": totals[2] / seconds,
        }

    def _run_steps(self, batches: Iterator[Any], count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        loss, rows, waited = tf.constant(0.0), tf.constant(0.0), tf.constant(0.0, tf.float64)
        for _ in tf.range(count):
            asked = tf.timestamp()
            with tf.control_dependencies([asked]):
                batch = next(batches)
            with tf.control_dependencies(tf.nest.flatten(batch)):
                waited += tf.timestamp() - asked
            step_loss, step_rows = self._strategy.run(self._step, args=(batch,))
            loss += self._strategy.reduce(tf.distribute.ReduceOp.SUM, step_loss, axis=None)
            rows += self._strategy.reduce(tf.distribute.ReduceOp.SUM, step_rows, axis=None)
        return loss, rows, waited

    def _step(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits_BKC = self._model(batch["inputs"], training=True)
            loss_B = self._job.objective(batch["label"], logits_BKC, batch.get("teacher_logits"))
            loss = tf.reduce_sum(loss_B * batch["weight"])
            scaled = loss / self._job.training.batch_size
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, self._job.training.clip_norm)
        self._optimizer.apply(gradients, self._model.trainable_variables)
        return loss, tf.reduce_sum(batch["weight"])


class _Validation:
    """Hard-label loss and accuracy of the model's prediction on the validation split."""

    def __init__(self, model: keras.Model, reader: Reader) -> None:
        self._predictor = Predictor(model)
        self._shards = list(reader.all())

    def measure(self) -> dict[str, float]:
        """Mean negative log-likelihood, in nats, and share of right predictions."""
        predicted_BC = np.concatenate([probabilities_of(self._predictor.logits(rows)) for rows in self._shards])
        labels_B = np.concatenate([rows["label"] for rows in self._shards])
        likelihood_B = predicted_BC[np.arange(len(labels_B)), labels_B]
        return {
            "validation_loss": float(-np.log(np.maximum(likelihood_B, 1e-12)).mean()),
            "validation_accuracy": float((predicted_BC.argmax(axis=-1) == labels_B).mean()),
        }
