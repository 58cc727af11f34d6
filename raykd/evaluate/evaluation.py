"""The evaluation: every model and ensemble once on the test split, at the very end."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raykd.artifacts import EVALUATION, RunDirectory, teacher_folder
from raykd.config import Config
from raykd.data.reader import Reader
from raykd.data.shards import Arrays, Manifest, read_manifest
from raykd.distill.inheritance import best_teacher
from raykd.distill.recipes import MANY_ON_MANY, NOISY_STUDENT, ONE_ON_ONE, students
from raykd.distill.rounds import rounds
from raykd.distill.stages import model_spec, round_spec
from raykd.distill.weighting import labelled_validation_rows, teacher_weights
from raykd.ensemble import average, member_weights
from raykd.evaluate.quality import quality
from raykd.evaluate.speed import speed
from raykd.models.build import ModelSpec, count_parameters
from raykd.train.checkpoint import load_weights
from raykd.train.job import Report
from raykd.train.predict import BATCH, Predictor, probabilities_of

_BYTES_PER_PARAMETER = 4

Kind = Literal["teacher", "teacher_ensemble", "student", "student_ensemble"]


@dataclass(frozen=True)
class Entry:
    """A line of the results: one model, or several that predict together."""

    name: str
    kind: Kind
    recipe: str | None
    members: tuple[str, ...]


def entries(config: Config, best_teacher: str) -> list[Entry]:
    """The lines of the results; members are the folders of trained models."""
    teachers = [teacher.name for teacher in config.teachers]
    lines = [Entry(f"teacher/{name}", "teacher", None, (teacher_folder(name),)) for name in teachers]
    lines.append(Entry("teacher_ensemble", "teacher_ensemble", None, tuple(map(teacher_folder, teachers))))
    for recipe in config.distill.recipes:
        trained = students([recipe], teachers)
        if recipe == ONE_ON_ONE.name:
            trained = [student for student in trained if student.teachers == (best_teacher,)]
            lines.append(Entry("student/one_on_one", "student", recipe, (trained[0].folder,)))
            continue
        for student in trained:
            name = student.folder.replace("students/", "student/")
            lines.append(Entry(name, "student", recipe, (student.folder,)))
        if recipe == NOISY_STUDENT.name:
            lines += [Entry(f"student/{one.path}", "student", recipe, (one.folder,)) for one in rounds(config)]
        if recipe == MANY_ON_MANY.name:
            folders = tuple(student.folder for student in trained)
            lines.append(Entry("ensemble/many_on_many", "student_ensemble", recipe, folders))
    return lines


def evaluate(config: Config, run: RunDirectory, report: Report) -> dict[str, Any]:
    """Measure every model and ensemble on the test split and publish `evaluation/models.json`."""
    begun = time.perf_counter()
    manifest = read_manifest(run)
    shards = list(Reader(run, manifest.of("test"), manifest.inputs).all())
    rows = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    lines = entries(config, best_teacher(config, run))
    folders = sorted({folder for line in lines for folder in line.members})
    predictors, parameters, predictions = {}, {}, {}
    for count, folder in enumerate(folders, start=1):
        spec, jit_compile = _spec(config, folder, manifest)
        predictors[folder] = Predictor(spec, load_weights(run, folder), jit_compile)
        parameters[folder] = count_parameters(spec)
        predictions[folder] = probabilities_of(predictors[folder].logits(rows))
        report({"folder": EVALUATION, "share": 0.5 * count / len(folders)})
    weights = {line.name: member_weights_of(line, config, predictors, run, manifest) for line in lines}
    combined = {
        line.name: average([predictions[folder] for folder in line.members], weights[line.name], config.distill.average)
        for line in lines
    }
    [teachers] = [line for line in lines if line.kind == "teacher_ensemble"]
    batch = _timing_batch(rows, manifest)
    models = []
    for count, line in enumerate(lines, start=1):
        size = sum(parameters[folder] for folder in line.members)
        models.append(
            {
                "name": line.name,
                "kind": line.kind,
                "recipe": line.recipe,
                **_shown_weights(line, weights[line.name]),
                **quality(combined[line.name], rows["label"], combined[teachers.name], config.seed),
                "parameters": size,
                "bytes": size * _BYTES_PER_PARAMETER,
                **speed([predictors[folder] for folder in line.members], batch),
            }
        )
        report({"folder": EVALUATION, "share": 0.5 + 0.5 * count / len(lines)})
    best = f"teacher/{best_teacher(config, run)}"
    compared = compare(models, best)
    run.write_json(f"{EVALUATION}/models.json", {"best_teacher": best, "device": _device(), "models": compared})
    return {"rows": len(rows["label"]), "seconds": time.perf_counter() - begun}


def member_weights_of(
    line: Entry, config: Config, predictors: Mapping[str, Predictor], run: RunDirectory, manifest: Manifest
) -> tuple[float, ...] | None:
    """Weights of an ensemble's members, worked out on the validation split; None: equal ones.

    Teachers have the weights with which they teach as an average.
    Raises: InputError as `labelled_validation_rows`.
    """
    if line.kind == "teacher_ensemble":
        return teacher_weights(config.distill, [teacher.name for teacher in config.teachers], run, manifest)
    if line.kind != "student_ensemble" or config.distill.weighting == "uniform":
        return None
    rows = labelled_validation_rows(run, manifest)
    predictions = [probabilities_of(predictors[folder].logits(rows)) for folder in line.members]
    return member_weights(config.distill.weighting, predictions, rows["label"], config.distill.average)


def _shown_weights(line: Entry, weights: Sequence[float] | None) -> dict[str, list[float]]:
    if line.kind not in ("teacher_ensemble", "student_ensemble"):
        return {}
    return {"weights": list(weights or [1.0 / len(line.members)] * len(line.members))}


def compare(models: Sequence[dict[str, Any]], best_teacher: str) -> list[dict[str, Any]]:
    """Each model with its retention of accuracy and its speed-up, against the best teacher and the ensemble."""
    best = next(model for model in models if model["name"] == best_teacher)
    together = next(model for model in models if model["kind"] == "teacher_ensemble")
    return [
        {
            **model,
            "retention": model["accuracy"] / best["accuracy"],
            "retention_ensemble": model["accuracy"] / together["accuracy"],
            "speedup": model["examples_per_second"] / best["examples_per_second"],
            "speedup_ensemble": model["examples_per_second"] / together["examples_per_second"],
        }
        for model in models
    ]


def _spec(config: Config, folder: str, manifest: Manifest) -> tuple[ModelSpec, bool]:
    for teacher in config.teachers:
        if folder == teacher_folder(teacher.name):
            return model_spec(teacher.model, manifest), teacher.training.jit_compile
    if folder in {one.folder for one in rounds(config)}:
        return round_spec(config, manifest), config.distill.noisy_student.training.jit_compile
    names = [teacher.name for teacher in config.teachers]
    [student] = [student for student in students(config.distill.recipes, names) if student.folder == folder]
    return model_spec(config.student.model, manifest, student.heads), config.student.training.jit_compile


def _timing_batch(rows: Arrays, manifest: Manifest) -> Any:
    """The first rows of the test split, padded as they would be served together."""
    return rows["inputs"][:BATCH, : manifest.inputs.width(int(rows["lengths"][:BATCH].max()))]


def _device() -> str:
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    accelerators = tf.config.list_logical_devices("GPU")
    if accelerators:
        return f"{len(accelerators)} x {tf.config.experimental.get_device_details(accelerators[0])}"
    return f"{platform.machine()} processor, {threads} thread(s)"
