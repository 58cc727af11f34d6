"""Which trained teachers a student reads beside their logits: to start from, and for losses on hidden states."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from raykd.artifacts import RunDirectory, external_folder, teacher_folder
from raykd.config import Config
from raykd.data.largest import spread
from raykd.data.reader import Reader
from raykd.data.shards import read_manifest
from raykd.distill.recipes import Student
from raykd.transfer import blocks_of, teacher_names

AVERAGING = {"weighting", "average"}
"""Of the settings of the distillation: how several models become one."""


def best_teacher(config: Config, run: RunDirectory) -> str:
    """The trained teacher with the highest validation accuracy, or the external one; the first of equals."""
    if not config.teachers:
        return max(config.external, key=lambda name: _external_accuracy(name, run))
    return _best([teacher.name for teacher in config.teachers], run)


def _external_accuracy(name: str, run: RunDirectory) -> float:
    """On the validation rows with a label; 0 where there is none, or no score."""
    manifest = read_manifest(run)
    if name not in manifest.external_with("validation"):
        return 0.0
    reader = Reader(run, manifest.of("validation"), manifest.inputs, (external_folder(name),))
    right = [
        spread(rows["teacher_logits"][known, 0], manifest.classes).argmax(axis=-1) == rows["label"][known]
        for rows in reader.all()
        if (known := rows["label"] >= 0).any()
    ]
    return float(np.concatenate(right).mean()) if right else 0.0


def starting_teachers(config: Config, student: Student) -> tuple[str, ...]:
    """The teachers of which one, the best on validation, gives its blocks to the student; none for a random start."""
    if not student.teachers or config.student.initialise == "random":
        return ()
    names = [teacher.name for teacher in config.teachers]
    fed_by = [name for name in student.teachers if name in names]
    return teacher_names(config.student.initialise_from, fed_by, names)


def starting_teacher(config: Config, student: Student, run: RunDirectory) -> str | None:
    """The teacher that gives its blocks to the student, or None for a random start."""
    names = starting_teachers(config, student)
    return _best(names, run) if len(names) > 1 else next(iter(names), None)


def teachers_read(config: Config, student: Student) -> list[str]:
    """Teachers whose weights the student's training reads, in the order of the configuration."""
    imitated = student.teachers if config.distill.hidden.loss != "none" else ()
    read = {*starting_teachers(config, student), *imitated}
    return [teacher.name for teacher in config.teachers if teacher.name in read]


def student_settings(config: Config, student: Student) -> list[Any]:
    """The settings that the student's weights depend on, apart from its teachers."""
    own = config.student.model_dump(exclude={"initialise", "initialise_from"})
    if not student.teachers:
        return [own, None]
    distill = config.distill
    excluded = {"recipes", "noisy_student", "external"} | (set() if student.recipe.average else AVERAGING)
    excluded |= {"hidden"} if distill.hidden.loss == "none" else set()
    excluded |= set() if distill.soft_loss == "dkd" else {"dkd_weights"}
    start = starting_teachers(config, student)
    blocks = blocks_of(config.student.initialise, config.student.model) if start else ()
    # Nothing is added for a random start: its students stay as they were made before there were others.
    return [own, distill.model_dump(exclude=excluded), *([start, blocks] if start else [])]


def _best(names: Sequence[str], run: RunDirectory) -> str:
    return max(names, key=lambda name: float(run.facts(teacher_folder(name))["validation_accuracy"]))
