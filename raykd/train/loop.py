"""The training loop: epochs of a compiled program over the feed, with validation, checkpoints and resume."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.data.shards import Manifest
from raykd.models.build import ModelSpec, drawn
from raykd.models.initialise import from_blocks
from raykd.train import checkpoint as checkpoints
from raykd.train.batches import dataset, feed_of
from raykd.train.checkpoint import Checkpoint, Progress, assign, values_of
from raykd.train.job import Report, TrainJob
from raykd.train.memory import keep_freed_memory
from raykd.train.profile import Profile
from raykd.train.program import Program, program_for
from raykd.train.scalars import ScalarLog
from raykd.train.strategy import Place
from raykd.train.totals import Totals
from raykd.train.validation import Validation

_REPORT_SECONDS = 0.5
_DRAWN: dict[tuple[str, int], checkpoints.Values] = {}
_DRAWN_KEPT = 2


TakeSteps = Callable[[int], Totals]
"""Takes so many steps, and returns what they add up to."""

Executor = Callable[[TrainJob, RunDirectory, Manifest, Place, Program, int, int], TakeSteps]
"""Makes ready to take steps `start` to `stop` - 1 of a training with its program."""


def take_here(
    job: TrainJob, run: RunDirectory, manifest: Manifest, place: Place, program: Program, start: int, stop: int
) -> TakeSteps:
    """Steps in this process, on its part of the batches: an `Executor`."""
    feed = feed_of(job, run, manifest, place)
    batches = iter(dataset(feed, job, manifest, start, stop))
    keep_freed_memory()

    def take_steps(count: int) -> Totals:
        try:
            totals: Totals = program.steps(batches, tf.constant(count))
        except tf.errors.OpError:
            if feed.failure is None:
                raise
            raise feed.failure from None
        return totals

    return take_steps


def train(
    job: TrainJob,
    run: RunDirectory,
    manifest: Manifest,
    place: Place,
    report: Report,
    executor: Executor = take_here,
) -> None:
    """Train a model, from its last checkpoint if there is one, and publish its weights and history.

    The same job gives the same weights, interrupted or not; a finished one is left as it is. Every worker calls
    it, and takes the same steps.
    Raises: FloatingPointError when the loss is no longer finite, naming the step and the last checkpoint.
    """
    if run.exists(f"{job.folder}/history.json"):
        return  # Published, when a worker died or the run was killed before the step was marked done.
    profile = Profile(run, job.folder, wanted=place.profiles)
    epoch_steps = job.epoch_steps(manifest)
    total_steps = epoch_steps * job.training.epochs
    program = program_for(job, place)
    saved = _last_checkpoint(job, run, place)
    # Before all else: the feed starts meanwhile.
    take_steps = executor(job, run, manifest, place, program, 0 if saved is None else saved.progress.step, total_steps)
    weights = _initial_weights(job, run, program.model)
    program.start(job, total_steps * place.updates_per_step, weights)
    if program.imitation is not None:
        program.imitation.start(job, run)
    progress, best = Progress(), weights
    if saved is not None:
        assign(program.variables, saved.model, job.folder)
        assign(program.optimizer.variables, saved.optimizer, job.folder)
        progress, best = saved.progress, saved.best
    validation = Validation(job, run, manifest, place)
    take_steps = profile.watched(take_steps, lambda: program.settled)
    with ScalarLog(run, job.folder, writes=place.writes) as log:
        while not _finished(job, progress):
            for _ in _to_end_of_epoch(job, run, take_steps, progress, epoch_steps, report):
                with profile.spending("checkpoints"):
                    _save(job, run, program, place, progress, best)
            record = _end_epoch(progress, epoch_steps)
            values = values_of(program.model.variables)
            with profile.spending("validation"):
                record.update(validation.measure(values))
            _note(job, progress, record)
            if progress.best_epoch == len(progress.history) - 1:
                best = values
            log.write(record)
            with profile.spending("checkpoints"):
                _save(job, run, program, place, progress, best)
            report(_epoch_event(job, progress, epoch_steps))
    profile.publish()
    if place.writes:
        checkpoints.save_weights(run, job.folder, best)
        if program.imitation is not None:
            program.imitation.publish(job, run)
        run.write_json(f"{job.folder}/history.json", progress.history)
        checkpoints.delete_checkpoints(run, job.folder)


def _last_checkpoint(job: TrainJob, run: RunDirectory, place: Place) -> Checkpoint | None:
    """The one that rank 0 finds: where all workers go on from."""
    kept = checkpoints.checkpoints_in(run, job.folder) if place.writes else []
    [step] = place.sum_over_workers(np.array([1.0 + checkpoints.step_of(kept[-1]) if kept else 0.0]))
    return checkpoints.load_checkpoint(run, job.folder, int(step) - 1) if step else None


def _save(
    job: TrainJob, run: RunDirectory, program: Program, place: Place, progress: Progress, best: checkpoints.Values
) -> None:
    """Write a checkpoint, and let every worker know that it is there."""
    if place.writes:
        model, optimizer = values_of(program.variables), values_of(program.optimizer.variables)
        state = Checkpoint(progress, model, optimizer, best)
        checkpoints.save_checkpoint(run, job.folder, state, job.training.keep_checkpoints)
    if place.published is not None:
        path = checkpoints.checkpoint_path(job.folder, progress.step)
        place.published(path, {"step": progress.step, "epochs": len(progress.history)})


def _initial_weights(job: TrainJob, run: RunDirectory, model: Any) -> checkpoints.Values:
    """Drawn with the job's seed, or a teacher's blocks, or an earlier training's with this job's seeds for dropout.

    Args: model: built alike.
    """
    if job.initial is not None:
        earlier = checkpoints.load_weights(run, job.initial)
        weights = {id(variable) for variable in model.weights}
        if len(weights) == len(model.variables):  # Nothing is left to draw.
            return earlier
        pairs = zip(model.variables, earlier, _drawn(job.model, job.seed), strict=True)
        return [old if id(variable) in weights else new for variable, old, new in pairs]
    fresh = _drawn(job.model, job.seed)
    if job.blocks is not None:
        teacher = job.blocks.teacher
        values = checkpoints.load_weights(run, teacher.folder)
        return from_blocks(teacher.model, values, job.model, fresh, job.blocks.numbers)
    return fresh


def _drawn(model: ModelSpec, seed: int) -> checkpoints.Values:
    """Fresh weights, and seeds for dropout. The last ones are kept: the trials of a sweep all ask for the same."""
    key = model.key, seed
    if key not in _DRAWN:
        if len(_DRAWN) == _DRAWN_KEPT:
            _DRAWN.pop(next(iter(_DRAWN)))
        _DRAWN[key] = values_of(drawn(model, seed).variables)
    return _DRAWN[key]


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


def _to_end_of_epoch(
    job: TrainJob, run: RunDirectory, take_steps: TakeSteps, progress: Progress, steps: int, report: Report
) -> Iterator[None]:
    """Train to the end of the epoch; yields where a checkpoint is due before it."""
    reported = -_REPORT_SECONDS
    left = steps - progress.step % steps
    while left:
        begun = time.perf_counter()
        count = min(left, job.training.steps_per_call, _until_checkpoint(job, progress))
        totals = take_steps(count)
        if (bad := int(totals.bad)) >= 0:
            raise FloatingPointError(_wild(job, run, progress.step + bad + 1))
        left -= count
        progress.step += count
        progress.loss += float(totals.loss)
        progress.rows += float(totals.rows)
        progress.waited += float(totals.waited)
        progress.seconds += time.perf_counter() - begun
        if progress.rows and progress.seconds - reported > _REPORT_SECONDS:
            reported = progress.seconds
            epoch, epochs = (progress.step - 1) // steps, job.training.epochs
            place = {"folder": job.folder, "epoch": epoch, "epochs": epochs}
            report({**place, "share": progress.step / (steps * epochs), **_figures(progress)})
        if left and job.training.checkpoint_steps and progress.step % job.training.checkpoint_steps == 0:
            yield


def _until_checkpoint(job: TrainJob, progress: Progress) -> int:
    every = job.training.checkpoint_steps
    return job.training.steps_per_call if every is None else every - progress.step % every


def _wild(job: TrainJob, run: RunDirectory, step: int) -> str:
    kept = checkpoints.checkpoints_in(run, job.folder)
    good = f"the last good checkpoint is {run.path(kept[-1])}" if kept else "there is no checkpoint yet"
    return f"{job.folder}: the loss is no longer finite at step {step}; {good}; lower the learning rate"


def _figures(progress: Progress) -> dict[str, float]:
    return {
        "loss": progress.loss / progress.rows,
        "examples_per_second": progress.rows / progress.seconds,
        "stall_fraction": progress.waited / progress.seconds,
    }


def _epoch_event(job: TrainJob, progress: Progress, steps: int) -> dict[str, Any]:
    """The epoch that ended, and of the one that counts so far what was measured."""
    epochs, kept = job.training.epochs, progress.history[progress.best_epoch]
    return {
        "kind": "epoch",
        "folder": job.folder,
        **progress.history[-1],
        "epochs": epochs,
        "share": progress.step / (steps * epochs),
        "kept": {name: kept[name] for name in ("validation_accuracy", "validation_loss")},
    }


def _end_epoch(progress: Progress, steps: int) -> dict[str, Any]:
    """The record of the epoch that ended; the sums begin anew."""
    figures = _figures(progress)
    record = {
        "epoch": (progress.step - 1) // steps,
        "step": progress.step,
        "train_loss": figures.pop("loss"),
        "seconds": progress.seconds,
        **figures,
    }
    progress.loss = progress.rows = progress.waited = progress.seconds = 0.0
    return record
