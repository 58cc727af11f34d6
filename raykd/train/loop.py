"""The training loop: epochs of a compiled program over the feed, with validation, checkpoints and resume."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.data.feed import Feed, Reader
from raykd.data.shards import Manifest
from raykd.models.build import build
from raykd.train import checkpoint as checkpoints
from raykd.train.checkpoint import Checkpoint, Progress, assign, values_of
from raykd.train.job import Report, TrainJob
from raykd.train.predict import Predictor, probabilities_of
from raykd.train.program import Program, program_for
from raykd.train.scalars import ScalarLog

_REPORT_SECONDS = 0.5
_PREFETCHED = 8  # batches


def train(
    job: TrainJob, run: RunDirectory, manifest: Manifest, strategy: tf.distribute.Strategy, report: Report
) -> None:
    """Train a model, from its last checkpoint if there is one, and publish its weights and history.

    The same job gives the same weights, interrupted or not. Raises: FloatingPointError when the loss is no
    longer finite, naming the step.
    """
    epoch_steps = job.order(manifest).steps_per_epoch
    total_steps = epoch_steps * job.training.epochs
    program = program_for(job, strategy)
    weights = _initial_weights(job, run)
    program.start(job, total_steps, weights)
    progress, best = Progress(), weights
    if (saved := checkpoints.load_checkpoint(run, job.folder)) is not None:
        assign(program.model.variables, saved.model, job.folder)
        assign(program.optimizer.variables, saved.optimizer, job.folder)
        progress, best = saved.progress, saved.best
    validation = _Validation(job, Reader(run, manifest.of("validation"), manifest.inputs))
    batches = iter(_dataset(job, run, manifest, progress.step, total_steps))
    with ScalarLog(run, job.folder) as log:
        while not _finished(job, progress):
            record = _epoch(job, program, batches, progress, epoch_steps, report)
            values = values_of(program.model.variables)
            record.update(validation.measure(values))
            _note(job, progress, record)
            if progress.best_epoch == len(progress.history) - 1:
                best = values
            log.write(record)
            state = Checkpoint(progress, values, values_of(program.optimizer.variables), best)
            checkpoints.save_checkpoint(run, job.folder, state)
    checkpoints.save_weights(run, job.folder, best)
    run.write_json(f"{job.folder}/history.json", progress.history)
    checkpoints.delete_checkpoint(run, job.folder)


def _initial_weights(job: TrainJob, run: RunDirectory) -> checkpoints.Values:
    """Drawn with the job's seed, or those of an earlier training with this job's seeds for dropout."""
    fresh = build(job.model, job.seed)
    if job.initial is not None:
        earlier = checkpoints.load_weights(run, job.initial)
        drawn = values_of(fresh.variables)
        trained = {id(variable) for variable in fresh.weights}
        return [old if id(variable) in trained else new
                for variable, old, new in zip(fresh.variables, earlier, drawn, strict=True)]  # fmt: skip
    return values_of(fresh.variables)


def _finished(job: TrainJob, progress: Progress) -> bool:
    if len(progress.history) == job.training.epochs:
        return True
    return job.keep_best and progress.epochs_without_gain() >= job.training.patience


def _note(job: TrainJob, progress: Progress, record: dict[str, Any]) -> None:
    """Append the epoch's record and see whether it's the best."""
    progress.history.append(record)
    if not job.keep_best or record["validation_loss"] < progress.best_loss:
        progress.best_loss = record["validation_loss"]
        progress.best_epoch = len(progress.history) - 1


def _dataset(job: TrainJob, run: RunDirectory, manifest: Manifest, start: int, stop: int) -> tf.data.Dataset:
    """The feed's batches, prepared ahead of the step that reads them."""
    feed: Feed = job.feed(run, manifest)
    batches = tf.data.Dataset.from_generator(
        lambda: feed.batches(start, stop), output_signature=_signature(job, manifest)
    )
    return batches.prefetch(_PREFETCHED)


def _signature(job: TrainJob, manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """Shapes and types of a batch; lengths of tokens vary."""
    rows, inputs = job.training.batch_size, manifest.inputs
    signature = {
        "inputs": tf.TensorSpec((rows, None if inputs.kind == "tokens" else inputs.length), inputs.dtype),
        "label": tf.TensorSpec((rows,), tf.int32),
        "weight": tf.TensorSpec((rows,), tf.float32),
    }
    if job.logits:
        signature["teacher_logits"] = tf.TensorSpec((rows, len(job.logits), manifest.classes), tf.float16)
    return signature


def _epoch(
    job: TrainJob, program: Program, batches: Iterator[Any], progress: Progress, steps: int, report: Report
) -> dict[str, Any]:
    """Train to the end of the epoch and return its record."""
    epoch, begun, reported = progress.step // steps, time.perf_counter(), -_REPORT_SECONDS
    left = (epoch + 1) * steps - progress.step
    totals = np.zeros(3)  # loss, rows, seconds waited
    while left:
        count = min(left, job.training.steps_per_call)
        totals += np.array([float(value) for value in program.steps(batches, tf.constant(count))])
        progress.step += count
        left -= count
        if not np.isfinite(totals[0]):
            raise FloatingPointError(
                f"{job.folder}: the loss is {totals[0]} after step {progress.step}; lower the learning rate; "
                "the last checkpoint is that of the epoch before"
            )
        seconds = time.perf_counter() - begun
        rates = {"examples_per_second": totals[1] / seconds, "stall_fraction": totals[2] / seconds}
        if seconds - reported > _REPORT_SECONDS:
            reported = seconds
            share = progress.step / (steps * job.training.epochs)
            place = {"folder": job.folder, "epoch": epoch, "epochs": job.training.epochs, "share": share}
            report({**place, "loss": totals[0] / totals[1], **rates})
    return {"epoch": epoch, "step": progress.step, "train_loss": totals[0] / totals[1], "seconds": seconds, **rates}


class _Validation:
    """Hard-label loss and accuracy of the model's prediction on the validation split."""

    def __init__(self, job: TrainJob, reader: Reader) -> None:
        self._job = job
        rows = list(reader.all())
        self._rows = {name: np.concatenate([shard[name] for shard in rows]) for name in rows[0]}

    def measure(self, weights: checkpoints.Values) -> dict[str, float]:
        """Mean negative log-likelihood, in nats, and share of right predictions."""
        predictor = Predictor(self._job.model, weights, self._job.training.jit_compile)
        predicted_BC = probabilities_of(predictor.logits(self._rows))
        labels_B = self._rows["label"]
        likelihood_B = predicted_BC[np.arange(len(labels_B)), labels_B]
        return {
            "validation_loss": float(-np.log(np.maximum(likelihood_B, 1e-12)).mean()),
            "validation_accuracy": float((predicted_BC.argmax(axis=-1) == labels_B).mean()),
        }
