"""The training runs of teachers and students: which rows, which loss, how long, from which weights."""

import time
import zlib
from dataclasses import replace
from typing import Any

from raykd.artifacts import SWEEP, RunDirectory, external_folder, logits_folder, teacher_folder
from raykd.config import Config, ModelConfig, TrainingConfig
from raykd.data.shards import Manifest, read_manifest
from raykd.distill.inheritance import starting_teacher
from raykd.distill.noisy_student import Kept, select
from raykd.distill.pool import check_pool
from raykd.distill.recipes import Student, students
from raykd.distill.rounds import POOL, Round, round_model, rounds
from raykd.distill.weighting import teacher_weights
from raykd.losses import Objective
from raykd.models.build import ModelSpec, build
from raykd.train.checkpoint import load_weights, save_weights, values_of
from raykd.train.job import Blocks, HiddenLoss, Report, Trained, TrainJob
from raykd.train.launch import launch, launch_all
from raykd.train.strategy import Place, strategy_named
from raykd.train.validation import Validation
from raykd.transfer import blocks_of

_HARD_LABELS = Objective()


def model_spec(config: ModelConfig, manifest: Manifest, heads: int = 1) -> ModelSpec:
    """The model of a configuration for the run's examples."""
    return ModelSpec(config, manifest.inputs, manifest.classes, heads)


def round_spec(config: Config, manifest: Manifest) -> ModelSpec:
    """The model of every Noisy Student."""
    return model_spec(round_model(config), manifest)


def student_spec(config: Config, student: Student, manifest: Manifest) -> ModelSpec:
    """The model of a student; without a golden head where no training row has a label."""
    heads = student.heads_without_labels if "train" in manifest.scored_only else student.heads
    return model_spec(config.student.model, manifest, heads)


def model_of_step(config: Config, step: str, manifest: Manifest) -> ModelSpec | None:
    """The model that a step of the pipeline trains or runs, or None for one without a model of its own."""
    kind, _, name = step.partition("/")
    if kind == "predictions":
        return model_of_step(config, name, manifest)
    if step in {place for one in rounds(config) for place in (one.folder, logits_folder(one.store))}:
        return round_spec(config, manifest)
    if kind in ("teachers", "logits"):
        return None if name in config.external else model_spec(config.teacher(name).model, manifest)
    trained = {student.folder: student for student in students(config.distill.recipes, config.teacher_names)}
    trained[SWEEP] = students([config.sweep.recipe], config.teacher_names)[0]
    return student_spec(config, trained[step], manifest) if step in trained else None


def imitated_in_step(config: Config, step: str, manifest: Manifest) -> list[ModelSpec]:
    """The teachers that a step of the pipeline runs beside the model that it trains."""
    wanted = students(config.distill.recipes, config.teacher_names)
    hidden = [_hidden(config, student, manifest) for student in wanted if student.folder == step]
    return [teacher.model for loss in hidden if loss is not None for teacher in loss.teachers]


def teacher_job(config: Config, name: str, manifest: Manifest) -> TrainJob:
    """A teacher learns from the labelled rows, or from external teachers' probabilities where no row has a label."""
    teacher = config.teacher(name)
    folder = teacher_folder(name)
    return _labelled_job(config, folder, model_spec(teacher.model, manifest), teacher.training, manifest)


def student_jobs(
    config: Config, student: Student, manifest: Manifest, run: RunDirectory, start: str | None = None
) -> list[TrainJob]:
    """The student's runs in order: one on hard labels, or stage 1 (if it has epochs) and stage 2.

    Averaged teachers are weighed here, on their logits of the validation split. Where no training row has a label,
    the student without teachers learns as a teacher does (see `teacher_job`): what a user would train who has no
    more than the external teachers' probabilities.
    Args: start: the teacher that gives its blocks to the first run; None for a random start.
    """
    model = student_spec(config, student, manifest)
    if not student.teachers:
        return [_labelled_job(config, f"{student.folder}/labelled", model, config.student.training, manifest)]
    check_pool(config, manifest)  # Settings may be others than at ingestion.
    distill = config.distill
    objective = _objective(config, student, run, manifest)
    jobs: list[TrainJob] = []
    pool = tuple(split for split in distill.stage1.pool if manifest.rows(split))
    if distill.stage1.epochs and pool:
        # Validation labels can't tell the best epoch of soft training: the golden head has not been trained.
        stage1 = _job(
            config, f"{student.folder}/stage1", model, distill.stage1, pool, student, objective, 1.0, keep_best=False
        )
        jobs.append(stage1)
    initial = jobs[-1].folder if jobs else None
    stage2 = _job(
        config,
        f"{student.folder}/stage2",
        model,
        distill.stage2,
        ("train",),
        student,
        objective,
        distill.alpha,
        initial,
    )
    first, *rest = (replace(job, hidden=_hidden(config, student, manifest)) for job in (*jobs, stage2))
    return [replace(first, blocks=_blocks(config, start, manifest)), *rest]


def round_job(config: Config, one: Round, manifest: Manifest, run: RunDirectory) -> tuple[TrainJob, Kept]:
    """A Noisy Student learns labels of labelled rows, and its teachers' answers to those unlabelled rows that it keeps.

    At temperature 1 the KL divergence differs from the cross-entropy against the teachers' probabilities, which the
    paper takes, by a constant. With alpha 0 rows with a label learn from that alone; without one alpha counts as 1.
    Raises: InputError where no unlabelled row is kept.
    """
    distill = config.distill
    weights = teacher_weights(distill, one.teachers, run, manifest) if one.number == 1 else None
    selection, kept = select(config, one, weights, run, manifest)
    objective = Objective("kl", average=True, space=distill.average, weights=weights)
    model = round_spec(config, manifest)
    job = _job(config, one.folder, model, distill.noisy_student.training, POOL, objective=objective)
    logits = tuple(logits_folder(teacher) for teacher in one.teachers)
    return replace(job, logits=logits, temperature=1.0, selection=selection), kept


def _trained(config: Config, teacher: str, manifest: Manifest) -> Trained:
    return Trained(teacher_folder(teacher), model_spec(config.teacher(teacher).model, manifest))


def _blocks(config: Config, start: str | None, manifest: Manifest) -> Blocks | None:
    if start is None:
        return None
    student = config.student
    return Blocks(_trained(config, start, manifest), blocks_of(student.initialise, student.model))


def _hidden(config: Config, student: Student, manifest: Manifest) -> HiddenLoss | None:
    hidden = config.distill.hidden
    if hidden.loss == "none" or not student.teachers:
        return None
    teachers = tuple(_trained(config, name, manifest) for name in student.teachers)
    return HiddenLoss(hidden.loss, hidden.weight, teachers)


def _objective(config: Config, student: Student, run: RunDirectory, manifest: Manifest) -> Objective:
    distill = config.distill
    objective = Objective(distill.soft_loss, dkd_weights=distill.dkd_weights)
    if not student.recipe.average:
        return objective
    weights = teacher_weights(distill, student.teachers, run, manifest)
    return replace(objective, average=True, space=distill.average, weights=weights)


def _labelled_job(
    config: Config, folder: str, model: ModelSpec, training: TrainingConfig, manifest: Manifest
) -> TrainJob:
    """One run on the training rows' labels, or on the external teachers' mean probabilities in their place."""
    job = _job(config, folder, model, training, ("train",))
    if "train" not in manifest.scored_only:
        return job
    folders = tuple(external_folder(name) for name in config.external)
    return replace(job, objective=Objective("kl", average=len(folders) > 1), alpha=1.0, temperature=1.0, logits=folders)


def _job(
    config: Config,
    folder: str,
    model: ModelSpec,
    training: TrainingConfig,
    splits: tuple[str, ...],
    student: Student | None = None,
    objective: Objective = _HARD_LABELS,
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
        objective=objective,
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


def take_saved_teacher(config: Config, name: str, run: RunDirectory) -> dict[str, Any]:
    """Publish a ready teacher's weights as a trained one's stand.

    Returns: seconds, and its loss and accuracy on the validation rows.
    Raises: InputError when its file doesn't fit the data.
    """
    begun = time.perf_counter()
    manifest = read_manifest(run)
    job = teacher_job(config, name, manifest)
    values = values_of(build(job.model, seed=0).variables)
    measured = Validation(job, run, manifest, Place(strategy_named("one_device"))).measure(values)
    save_weights(run, job.folder, values)
    return {"seconds": time.perf_counter() - begun, **measured}


def train_student(config: Config, student: Student, run: RunDirectory, report: Report) -> dict[str, Any]:
    """Train a student through its stages; a finished stage is not repeated. Returns: as `train_teacher`."""
    begun = time.perf_counter()
    jobs = student_jobs(config, student, read_manifest(run), run, starting_teacher(config, student, run))
    launch_all(jobs, run, report, config.scaling)
    save_weights(run, student.folder, load_weights(run, jobs[-1].folder))
    return {"seconds": time.perf_counter() - begun, **summary(run, [job.folder for job in jobs])}


def train_round(config: Config, one: Round, run: RunDirectory, report: Report) -> dict[str, Any]:
    """Train a Noisy Student. Returns: as `train_teacher`, and how many unlabelled rows there are and are kept."""
    begun = time.perf_counter()
    job, kept = round_job(config, one, read_manifest(run), run)
    launch(job, run, report, config.scaling)
    selected = {"unlabelled": kept.rows, "kept": sum(kept.by_class), "kept_by_class": list(kept.by_class)}
    return {"seconds": time.perf_counter() - begun, **selected, **summary(run, [job.folder])}


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
