"""The training runs of teachers and students: which rows, which loss, how long, from which weights."""

import time
import zlib
from typing import Any

from raykd.artifacts import SWEEP, RunDirectory, logits_folder, teacher_folder
from raykd.config import Config, ModelConfig, TrainingConfig
from raykd.data.shards import Manifest, read_manifest
from raykd.distill.recipes import Student, students
from raykd.losses import Objective
from raykd.models.build import ModelSpec
from raykd.train.checkpoint import load_weights, save_weights
from raykd.train.job import Report, TrainJob
from raykd.train.launch import launch


def model_spec(config: ModelConfig, manifest: Manifest, heads: int = 1) -> ModelSpec:
    """The model of a configuration for the run's examples."""
    return ModelSpec(config, manifest.inputs, manifest.classes, heads)


def model_of_step(config: Config, step: str, manifest: Manifest) -> ModelSpec | None:
    """The model that a step of the pipeline trains or runs, or None for one without a model of its own."""
    kind, _, name = step.partition("/")
    if kind in ("teachers", "logits"):
        return model_spec(config.teacher(name).model, manifest)
    teachers = [teacher.name for teacher in config.teachers]
    heads = {student.folder: student.heads for student in students(config.distill.recipes, teachers)}
    heads[SWEEP] = students([config.sweep.recipe], teachers)[0].heads
    return model_spec(config.student.model, manifest, heads[step]) if step in heads else None


def teacher_job(config: Config, name: str, manifest: Manifest) -> TrainJob:
    """A teacher learns from the labelled rows."""
    teacher = config.teacher(name)
    folder = teacher_folder(name)
    return _job(config, folder, model_spec(teacher.model, manifest), teacher.training, ("train",))


def student_jobs(config: Config, student: Student, manifest: Manifest) -> list[TrainJob]:
    """The student's runs in order: one on hard labels, or stage 1 (if it has epochs) and stage 2."""
    model = model_spec(config.student.model, manifest, student.heads)
    if not student.teachers:
        training = config.student.training
        return [_job(config, f"{student.folder}/labelled", model, training, ("train",))]
    distill = config.distill
    jobs: list[TrainJob] = []
    pool = tuple(split for split in distill.stage1.pool if manifest.rows(split))
    if distill.stage1.epochs and pool:
        # Validation labels can't tell the best epoch of soft training: the golden head has not been trained.
        stage1 = _job(
            config, f"{student.folder}/stage1", model, distill.stage1, pool, student, alpha=1.0, keep_best=False
        )
        jobs.append(stage1)
    initial = jobs[-1].folder if jobs else None
    stage2 = _job(
        config, f"{student.folder}/stage2", model, distill.stage2, ("train",), student, distill.alpha, initial
    )
    return [*jobs, stage2]


def _job(
    config: Config,
    folder: str,
    model: ModelSpec,
    training: TrainingConfig,
    splits: tuple[str, ...],
    student: Student | None = None,
    alpha: float = 0.0,
    initial: str | None = None,
    keep_best: bool = True,
) -> TrainJob:
    # A checksum of the folder, so that equally built models start from different weights.
    seed = training.seed if training.seed is not None else zlib.crc32(folder.encode())
    return TrainJob(
        folder=folder,
        model=model,
        training=training,
        seed=(seed + 1_000_003 * config.seed) % 2**31,
        splits=splits,
        objective=Objective(config.distill.soft_loss, student is not None and student.recipe.average),
        alpha=alpha,
        temperature=config.distill.temperature,
        data=config.data,
        logits=() if student is None else tuple(logits_folder(teacher) for teacher in student.teachers),
        initial=initial,
        keep_best=keep_best,
    )


def train_teacher(config: Config, name: str, run: RunDirectory, report: Report) -> dict[str, Any]:
    """Train a teacher. Returns: seconds, and what its history says (see `summary`)."""
    begun = time.perf_counter()
    launch(teacher_job(config, name, read_manifest(run)), run, report, config.scaling)
    return {"seconds": time.perf_counter() - begun, **summary(run, [teacher_folder(name)])}


def train_student(config: Config, student: Student, run: RunDirectory, report: Report) -> dict[str, Any]:
    """Train a student through its stages; a finished stage is not repeated. Returns: as `train_teacher`."""
    begun = time.perf_counter()
    jobs = student_jobs(config, student, read_manifest(run))
    for job in jobs:
        launch(job, run, report, config.scaling)
    save_weights(run, student.folder, load_weights(run, jobs[-1].folder))
    return {"seconds": time.perf_counter() - begun, **summary(run, [job.folder for job in jobs])}


def summary(run: RunDirectory, folders: list[str]) -> dict[str, Any]:
    """Rates over all epochs of these trainings, and the last one's best validation accuracy."""
    histories = [run.read_json(f"{folder}/history.json") for folder in folders]
    epochs = [epoch for history in histories for epoch in history]
    seconds = sum(epoch["seconds"] for epoch in epochs)
    best = min(histories[-1], key=lambda epoch: epoch["validation_loss"])
    return {
        "epochs": len(epochs),
        "training_seconds": seconds,
        "stall_fraction": sum(epoch["stall_fraction"] * epoch["seconds"] for epoch in epochs) / seconds,
        "examples_per_second": sum(epoch["examples_per_second"] * epoch["seconds"] for epoch in epochs) / seconds,
        "validation_accuracy": best["validation_accuracy"],
        "per_epoch": [{name: epoch[name] for name in ("examples_per_second", "stall_fraction")} for epoch in epochs],
    }
