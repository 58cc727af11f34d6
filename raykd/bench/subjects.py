"""What `raykd bench distill` trains: a student and its teachers, on rows that are made up.

Only speeds are measured: the rows are drawn with a seed and the teachers keep the weights they are drawn with, but
they pass through real shards, a real logits store and the feed, as a user's do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from raykd.artifacts import RunDirectory, logits_folder, teacher_folder
from raykd.bench.examples import write_examples, write_features
from raykd.config import CrossEncoderConfig, DataConfig, MLPConfig, ModelConfig, TrainingConfig
from raykd.data.shards import Manifest
from raykd.errors import InputError
from raykd.losses import Objective
from raykd.models.build import ModelSpec, build
from raykd.train.checkpoint import save_weights, values_of
from raykd.train.job import TrainJob

ALPHA, TEMPERATURE = 0.9, 2.0
_SHARDS, _VALIDATION_ROWS = 8, 16
_NUMBERS, _CLASSES, _LENGTH = 784, 10, 64


@dataclass(frozen=True)
class Case:
    """A student, the model of each of its teachers, and how they are measured.

    Args:
        rows: to train on, where nobody says how many.
        turn_epochs: epochs that count in each turn of a training without teachers in its steps.
        trial_batches: of an epoch that Keras's settings are tried with.
        steps_per_execution: those that Keras tries.
        xla: whether both sides try if XLA makes their steps faster.
    """

    teacher: ModelConfig
    student: ModelConfig
    rows: int
    batch_size: int
    turn_epochs: int
    trial_batches: int
    steps_per_execution: tuple[int, ...]
    xla: bool = True


CASES: Mapping[str, Case] = {
    "mlp": Case(
        teacher=MLPConfig(type="mlp", hidden=[1024, 1024, 512]),
        student=MLPConfig(type="mlp", hidden=[64]),
        rows=20_000,
        batch_size=128,
        turn_epochs=4,
        trial_batches=64,
        steps_per_execution=(1, 16, 64),
    ),
    "transformer": Case(
        teacher=CrossEncoderConfig(type="cross_encoder", layers=4, width=256, dropout=0.0),
        student=CrossEncoderConfig(type="cross_encoder", layers=2, width=128, dropout=0.0),
        rows=4096,
        batch_size=64,
        turn_epochs=1,
        trial_batches=4,
        steps_per_execution=(1, 16),
    ),
}


def cases_named(names: Sequence[str] | None) -> dict[str, Case]:
    """The cases of these names, or all. Raises: InputError for a name that isn't known."""
    if unknown := sorted(set(names or ()) - set(CASES)):
        raise InputError(f"--case: found {unknown[0]}, expected {' or '.join(CASES)}")
    return {name: case for name, case in CASES.items() if not names or name in names}


@dataclass(frozen=True)
class Subject:
    """A case with its rows and its teachers' weights in a run directory. Args: rows: to train on."""

    case: Case
    run: RunDirectory
    manifest: Manifest
    teachers: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows to train on."""
        return self.manifest.rows("train")

    @property
    def teacher(self) -> ModelSpec:
        """The model of every teacher."""
        return ModelSpec(self.case.teacher, self.manifest.inputs, self.manifest.classes)

    @property
    def student(self) -> ModelSpec:
        """The model of the student."""
        return ModelSpec(self.case.student, self.manifest.inputs, self.manifest.classes)

    def job(self, folder: str, epochs: int, teachers: Sequence[str] = ()) -> TrainJob:
        """The student's training on labels alone, or on the cached logits of teachers, averaged, as well."""
        compiled: Literal["auto", False] = "auto" if self.case.xla else False
        return TrainJob(
            folder=folder,
            model=self.student,
            training=TrainingConfig(epochs=epochs, batch_size=self.case.batch_size, jit_compile=compiled),
            seed=0,
            splits=("train",),
            # Keras's one teacher is the mean of its members' logits: the same loss.
            objective=Objective("kl", average=len(teachers) > 1, space="logits") if teachers else Objective(),
            alpha=ALPHA if teachers else 0.0,
            temperature=TEMPERATURE,
            data=DataConfig(),
            logits=tuple(logits_folder(name) for name in teachers),
            keep_best=False,
        )


def prepare(case: Case, run: RunDirectory, rows: int, teachers: int) -> Subject:
    """Write the rows and the teachers' weights."""
    splits = {"train": rows, "validation": _VALIDATION_ROWS}
    if isinstance(case.student, MLPConfig):
        manifest = write_features(run, splits, _NUMBERS, _CLASSES, _SHARDS)
    else:
        manifest = write_examples(run, splits, _LENGTH, _SHARDS)
    subject = Subject(case, run, manifest, tuple(f"teacher-{number}" for number in range(teachers)))
    for seed, name in enumerate(subject.teachers):
        save_weights(run, teacher_folder(name), values_of(build(subject.teacher, seed).variables))
    return subject
