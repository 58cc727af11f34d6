"""The sweep: Ray Tune tries settings of one student over cached logits; no trial runs a teacher.

A trial is a Tune function that trains in its own process, which later trials use again: TensorFlow is imported
and the step compiled once. Raykd's own records, one per trial, tell the next command what is left; Tune's go.
"""

import csv
import io
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ray import tune

from raykd.artifacts import SWEEP, RunDirectory
from raykd.config import Config
from raykd.distill.follower import Follower
from raykd.distill.inheritance import best_teacher
from raykd.distill.recipes import Student, students
from raykd.distill.scored import rows_scored
from raykd.distill.search import Search
from raykd.distill.trainable import EPOCHS, Work, train_trial
from raykd.distill.trials import (
    BEST,
    OBJECTIVE,
    Record,
    best,
    known_settings,
    left,
    read_records,
    shortened,
    space,
    trials_in_all,
)
from raykd.errors import InputError

if TYPE_CHECKING:
    from raykd.train.job import Report

_REDUCTION = 3  # ASHA lets about the best third of the trials go on, each time they have three times the epochs
_FIRST_LOOK = 1 / 6  # of all epochs, before ASHA stops a trial
_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # The paths of presets and saved models may be relative.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # Nobody reads them: the folder goes.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the whole command, at once.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",  # The new one prints a heading, however quiet it is told to be.
}


def sweep(config: Config, run: RunDirectory, report: "Report", *, together: int, threads: int) -> dict[str, Any]:
    """Do the trials that are left; publish `sweep/trials.csv` and `sweep/best.json`.

    Args: together: trials side by side; threads: that each computes with.
    Returns: facts for the step's marker.
    Raises: InputError when every trial failed.
    """
    begun = time.perf_counter()
    scored = _rows_scored(config, run)
    recorded = read_records(run)
    waiting = left(trials_in_all(config), known_settings(run, config), [record.number for record in recorded])
    follower = Follower(run, report, recorded, trials_in_all(config))
    if waiting:
        work = Work(config, run, _swept_student(config, run), threads)
        _tune(work, Search(config, run, waiting, recorded), len(waiting), follower, together)
    records = read_records(run)
    winner = best(records)
    if winner is None:
        raise InputError(
            f"{run.path(SWEEP)}: all {len(records)} trials failed, the first with: {records[0].reason}; expected one "
            f"at least that trains; change sweep's values, or delete {SWEEP}/ to try again"
        )
    done = [record for record in records if record.number in {number for number, _ in waiting}]
    seconds, steps = time.perf_counter() - begun, sum(record.steps for record in done)
    _write_table(config, run, records)
    figures = {
        "trial": winner.number,
        "settings": winner.settings,
        "validation_accuracy": winner.validation_accuracy,
        "validation_loss": winner.validation_loss,
        "own": asdict(records[0]),
        "trials": len(records),
        **{status: sum(record.status == status for record in records) for status in ("finished", "stopped", "failed")},
        # Of this command: trials that an earlier one recorded cost it nothing.
        "trained": len(done),
        "steps": steps,
        "seconds": seconds,
        "trial_seconds": sum(record.seconds for record in done),
        "together": together,
        "teacher_rows_scored": {"before": scored, "after": _rows_scored(config, run)},
    }
    run.write_json(BEST, figures)
    return {
        "seconds": seconds,
        "trials": len(records),
        "steps": steps,
        "validation_accuracy": winner.validation_accuracy,
    }


def _rows_scored(config: Config, run: RunDirectory) -> int:
    return sum(rows_scored(run, teacher.name) for teacher in config.teachers)


def _swept_student(config: Config, run: RunDirectory) -> Student:
    """The recipe's student; of paired ones that of the best teacher on validation."""
    found = students([config.sweep.recipe], config.teacher_names)
    if len(found) == 1:
        return found[0]
    best_first = best_teacher(config, run)
    return next(student for student in found if student.teachers == (best_first,))


def _tune(work: Work, search: Search, trials: int, follower: Follower, together: int) -> None:
    """Let Ray Tune do the trials; it leaves nothing behind."""
    scaling = work.config.scaling
    resources = {"cpu": work.threads, "gpu": min(1, scaling.gpus_per_worker)}
    with tempfile.TemporaryDirectory(prefix="raykd-sweep-") as folder, _environment(_ENVIRONMENT):
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(train_trial, work=work), resources),
            tune_config=tune.TuneConfig(
                num_samples=trials,
                search_alg=search,
                scheduler=_scheduler(work.config),
                max_concurrent_trials=together,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=SWEEP,
                storage_path=folder,
                callbacks=[follower],
                verbose=0,
                # A process that died: another goes on from the training's checkpoint.
                failure_config=tune.FailureConfig(max_failures=scaling.max_failures),
            ),
        )
        tuner.fit()


def _scheduler(config: Config) -> Any:
    if config.sweep.scheduler == "none":
        return tune.schedulers.FIFOScheduler()
    distill = shortened(config).distill
    epochs = distill.stage1.epochs + distill.stage2.epochs
    return tune.schedulers.AsyncHyperBandScheduler(
        time_attr=EPOCHS,
        metric=OBJECTIVE,
        mode="max",
        max_t=epochs,
        grace_period=max(1, round(epochs * _FIRST_LOOK)),
        reduction_factor=_REDUCTION,
        stop_last_trials=False,  # Those that reach the end publish their weights.
    )


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _write_table(config: Config, run: RunDirectory, records: Sequence[Record]) -> None:
    """Publish `sweep/trials.csv`: a row per trial, by number."""
    swept = list(space(config))
    measured = ["validation_accuracy", "validation_loss", "epochs", "steps", "seconds", "reason"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "status", *swept, *measured])
    for record in records:
        settings = [record.settings[name] for name in swept]
        table.writerow([record.number, record.status, *settings, *(getattr(record, name) for name in measured)])
    run.write_bytes(f"{SWEEP}/trials.csv", text.getvalue().encode())
