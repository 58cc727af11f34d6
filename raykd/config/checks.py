"""What must hold between sections of a job. Reader: the job's own validation, which makes one line of a ValueError."""

import re
from typing import TYPE_CHECKING

from raykd.config.data import BUILT_IN_SOURCES
from raykd.config.training import check_augment
from raykd.transfer import check_hidden, check_initialise

if TYPE_CHECKING:
    from raykd.config.job import Config

_ROUND = re.compile(r"noisy_student-\d+")  # the name of a round's student among teachers


def check(config: "Config") -> None:
    """Raises: ValueError naming key, what was found, what was expected and the remedy."""
    _check_names(config)
    _check_external(config)
    _check_group(config)
    _check_batches(config)
    _check_losses(config)
    models = {teacher.name: teacher.model for teacher in config.teachers}
    _check_saved(config)
    for student in (config.student.model, *(config.sweep.student or ())):
        check_initialise(config.student.initialise, config.student.initialise_from, student, models)
    check_hidden(config.distill.hidden.loss, config.scaling.strategy, config.student.model, models)
    _check_workers(config)


def _check_names(config: "Config") -> None:
    names = [*(teacher.name for teacher in config.teachers), *config.external]
    if not names:
        raise ValueError("teachers: found [], expected at least 1, here or under data.columns.external; add one")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"teachers: the name {sorted(twice)[0]} stands twice; give each its own")
    if config.has_rounds and (taken := next((name for name in names if _ROUND.fullmatch(name)), None)):
        raise ValueError(
            f"teachers: the name {taken} is that of a student with the recipe noisy_student; choose another"
        )


def _check_external(config: "Config") -> None:
    data, hidden = config.data, config.distill.hidden.loss
    if not config.external:
        return
    if data.source in BUILT_IN_SOURCES:
        raise ValueError(
            f"data.columns.external: found {', '.join(config.external)}, expected none with data.source "
            f"{data.source}, which has no such column; leave it out"
        )
    if not config.distill.external and not config.teachers:
        raise ValueError("distill.external: found false without a trained teacher, expected one; add one or set true")
    if data.repaired and config.distill.external:
        # Every student of an external teacher reads its scores of the whole pool.
        raise ValueError(
            f"data.repaired: found {data.repaired}, expected 0 with data.columns.external, which has no "
            "score of a new pair; leave out either, or set distill.external: false to learn from trained teachers alone"
        )
    if hidden != "none":
        raise ValueError(
            f"distill.hidden.loss: found {hidden} with data.columns.external, which has no hidden states; "
            "leave out either"
        )


def _check_saved(config: "Config") -> None:
    students = {
        "student.model": config.student.model,
        "distill.noisy_student.model": config.distill.noisy_student.model,
    }
    students |= {f"sweep.student.{place}": model for place, model in enumerate(config.sweep.student or ())}
    for where, model in students.items():
        if model is not None and model.type == "saved":
            raise ValueError(f"{where}.type: found saved, but only a teacher can be ready; choose another type")
    ready = next((teacher.name for teacher in config.teachers if teacher.model.type == "saved"), None)
    if ready is not None and config.distill.hidden.loss != "none":
        raise ValueError(
            f"distill.hidden.loss: found {config.distill.hidden.loss} with the saved teacher {ready}, whose hidden "
            "states are not known; leave out either"
        )


def _check_group(config: "Config") -> None:
    data = config.data
    if data.columns.group is not None and data.source in BUILT_IN_SOURCES:
        raise ValueError(
            f"data.columns.group: found {data.columns.group}, expected none with data.source {data.source}, which has "
            "no such column; leave it out"
        )


def _check_batches(config: "Config") -> None:
    streams = config.data.streams
    for where, training in config.trainings().items():
        if training.batch_size % streams:
            raise ValueError(
                f"{where}.batch_size: found {training.batch_size}, expected a multiple of "
                f"data.streams ({streams}); change either"
            )
        rows = training.batch_size // streams
        if rows % training.accumulate:
            raise ValueError(
                f"{where}.accumulate: found {training.accumulate}, expected a divisor of batch_size / data.streams "
                f"({rows}); change either"
            )
        check_augment(f"{where}.augment", training, config.data)


def _check_losses(config: "Config") -> None:
    distill = config.distill
    for key, losses in (("distill", [distill.soft_loss]), ("sweep", config.sweep.soft_loss or [])):
        for where, stage in (("stage1", distill.stage1), ("stage2", distill.stage2)):
            if "dist" in losses and stage.accumulate > 1:
                raise ValueError(
                    f"distill.{where}.accumulate: found {stage.accumulate}, expected 1 with {key}.soft_loss dist, "
                    "which compares all rows of a batch; change either"
                )
    noisy = distill.noisy_student
    if config.has_rounds and noisy.labels == "soft" and noisy.training.augment.mixup:
        raise ValueError(
            f"distill.noisy_student.training.augment.mixup: found {noisy.training.augment.mixup}, but soft labels "
            "are those of unmixed rows; remove it or set labels: hard"
        )


def _check_workers(config: "Config") -> None:
    workers, streams = config.scaling.most_workers, config.data.streams
    if workers > streams:
        raise ValueError(
            f"scaling.workers: found {workers}, expected at most data.streams ({streams}); raise data.streams"
        )
    if config.scaling.strategy == "parameter_server" and streams % workers:
        raise ValueError(
            f"scaling.workers: found {workers}, expected a divisor of data.streams "
            f"({streams}) with strategy parameter_server; change either"
        )
