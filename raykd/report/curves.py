"""Learning curves of a run, read from the histories that its trainings left."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from raykd.artifacts import RunDirectory, teacher_folder
from raykd.config import Config
from raykd.distill.recipes import students
from raykd.distill.rounds import rounds
from raykd.report.sheet import Sheet
from raykd.report.wording import percent

Epochs = list[dict[str, Any]]


@dataclass(frozen=True)
class Measure:
    """A figure that every epoch's record may hold."""

    key: str
    title: str
    higher_is_better: bool
    format: Callable[[float], str]


ACCURACY = Measure("validation_accuracy", "validation accuracy", True, percent)
LOSS = Measure("validation_loss", "validation loss", False, lambda nats: f"{nats:.3f} nats")


@dataclass(frozen=True)
class Curve:
    """One model's training, its stages one after the other."""

    label: str
    stages: tuple[Epochs, ...]

    def points(self, measure: Measure) -> list[tuple[int, float]]:
        """(epoch, value), epochs counted from 1 through all stages; those without a finite value left out."""
        # None: nothing to measure against; not finite: a training that diverged.
        values = [record.get(measure.key) for stage in self.stages for record in stage]
        known = [(epoch, math.nan if value is None else float(value)) for epoch, value in enumerate(values, start=1)]
        return [(epoch, value) for epoch, value in known if math.isfinite(value)]

    def best(self, measure: Measure) -> tuple[int, float]:
        """Epoch and value of the best epoch, the first of equals."""
        sign = 1 if measure.higher_is_better else -1
        return max(self.points(measure), key=lambda point: sign * point[1])

    def stage_starts(self) -> list[int]:
        """First epoch of every stage but the first."""
        lengths = [len(stage) for stage in self.stages]
        return [1 + sum(lengths[:index]) for index in range(1, len(lengths))]


def curves_sheet(name: str, curves: Sequence[Curve]) -> Sheet:
    """Both measures of every epoch, None where an epoch has none."""
    rows = [
        (curve.label, epoch, *(dict(curve.points(measure)).get(epoch) for measure in (ACCURACY, LOSS)))
        for curve in curves
        for epoch in range(1, 1 + sum(map(len, curve.stages)))
    ]
    return Sheet(name, ("training", "epoch", ACCURACY.key, LOSS.key), rows)


def teacher_curves(config: Config, run: RunDirectory) -> list[Curve]:
    """One curve per teacher that was trained in this run."""
    names = [teacher.name for teacher in config.teachers]
    return _present([(name, _histories(run, [teacher_folder(name)])) for name in names])


def student_curves(config: Config, run: RunDirectory) -> list[Curve]:
    """One curve per student: its labelled training, its two stages, or its round."""
    found = []
    for student in students(config.distill.recipes, config.teacher_names):
        stages = ("stage1", "stage2") if student.teachers else ("labelled",)
        histories = _histories(run, [f"{student.folder}/{stage}" for stage in stages])
        found.append((student.folder.removeprefix("students/"), histories))
    found += [(one.path, _histories(run, [one.folder])) for one in rounds(config)]
    return _present(found)


def _histories(run: RunDirectory, folders: list[str]) -> tuple[Epochs, ...]:
    files = [f"{folder}/history.json" for folder in folders]
    return tuple(run.read_json(file) for file in files if run.exists(file))


def _present(found: list[tuple[str, tuple[Epochs, ...]]]) -> list[Curve]:
    return [Curve(label, stages) for label, stages in found if any(stages)]
