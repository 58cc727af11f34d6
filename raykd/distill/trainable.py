"""What a trial's process does: trains a student with the trial's settings and tells Ray Tune of every epoch.

The process serves one trial after the other; temperature, alpha and learning rates are variables of the compiled
step, so all trials of a model share one.
"""

import os
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from ray import tune

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.distill.recipes import Student
from raykd.distill.trials import OBJECTIVE, Settings, shortened, trial_folder, with_settings
from raykd.process import prepare

if TYPE_CHECKING:
    from raykd.data.shards import Manifest
    from raykd.train.job import TrainJob

EPOCHS = "asha_epochs"  # what ASHA takes for time: epochs over both stages
_STOP_SECONDS = 120  # for a training to unwind when its trial is stopped; Tune gives the process up after that


@dataclass(frozen=True)
class Work:
    """What all trials have in common.

    Args: threads: that each trial computes with.
    """

    config: Config
    run: RunDirectory
    student: Student
    threads: int


def train_trial(given: dict[str, Any], work: Work) -> None:
    """A Tune function: one trial, from its training's last checkpoint if there is one.

    Tells Tune of each epoch: `epochs` and `steps` so far over both stages, and of the epoch that counts so far the
    objective and `validation_loss`; last `finished`, or `reason`, why it failed. When the scheduler stops the trial,
    Tune ends this function from within a report.

    Args: given: `number` and `settings` of the trial.
    """
    _prepare(work.threads)
    begun = time.perf_counter()
    reached = {"epochs": 0, "steps": 0}

    def tell(**figures: Any) -> None:
        reached.update({name: figures[name] for name in reached})
        tune.report({**figures, "seconds": time.perf_counter() - begun})

    try:
        figures = _train(given["number"], given["settings"], work, tell)
    except Exception as error:  # Whatever it is, it is this trial's: others have other settings.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        tell(**{OBJECTIVE: float("nan")}, **reached, reason=reason)
        return
    tell(**figures, finished=True)


@cache
def _prepare(threads: int) -> None:
    """Once in a process."""
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = str(_STOP_SECONDS)
    prepare(threads)


def trial_jobs(
    config: Config, student: Student, number: int, settings: Settings, manifest: "Manifest", run: RunDirectory
) -> list["TrainJob"]:
    """The student's runs, in the trial's folder; the seeds are the student's own, so that settings alone differ."""
    from raykd.distill.inheritance import starting_teacher
    from raykd.distill.stages import student_jobs

    def moved(folder: str) -> str:
        own = folder.startswith(f"{student.folder}/")
        return trial_folder(number) + folder.removeprefix(student.folder) if own else folder

    start = starting_teacher(config, student, run)
    jobs = student_jobs(shortened(with_settings(config, settings)), student, manifest, run, start)
    return [
        replace(
            job,
            folder=moved(job.folder),
            initial=None if job.initial is None else moved(job.initial),
            share=config.sweep.share,
            # What fits in memory is read once, here: that costs less than to start Ray Data tasks for every stage.
            data=job.data.model_copy(update={"read_tasks": 0}) if job.kept_in_memory(manifest) else job.data,
        )
        for job in jobs
    ]


def _train(number: int, settings: Settings, work: Work, tell: Any) -> dict[str, Any]:
    """Train all stages. Returns: the figures of the whole trial."""
    from raykd.data.shards import read_manifest
    from raykd.train.loop import train
    from raykd.train.strategy import Place, strategy_named

    manifest = read_manifest(work.run)
    epochs = steps = 0
    kept: dict[str, Any] = {}
    for job in trial_jobs(work.config, work.student, number, settings, manifest, work.run):

        def report(event: dict[str, Any], epochs: int = epochs, steps: int = steps) -> None:
            if event.get("kind") != "epoch":
                return
            done = epochs + event["epoch"] + 1
            # Trial 0 is what the others are compared with: ASHA, which can't see its epochs, never stops it.
            seen = {EPOCHS: done} if number else {}
            tell(**_figures(event["kept"]), **seen, epochs=done, steps=steps + event["step"], event=event)

        train(job, work.run, manifest, Place(strategy_named("one_device")), report)
        history = work.run.read_json(f"{job.folder}/history.json")
        epochs, steps = epochs + len(history), steps + history[-1]["step"]
        kept = min(history, key=lambda epoch: float(epoch["validation_loss"]))
    return {**_figures(kept), "epochs": epochs, "steps": steps}


def _figures(epoch: dict[str, Any]) -> dict[str, Any]:
    return {OBJECTIVE: epoch["validation_accuracy"], "validation_loss": epoch["validation_loss"]}
