"""The evaluation: every model and ensemble once on the test split, at the very end."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raykd.artifacts import EVALUATION, RunDirectory, external_folder, logits_folder, teacher_folder
from raykd.config import Config
from raykd.data.reader import Reader
from raykd.data.shards import Arrays, Manifest, read_manifest
from raykd.distill.inheritance import best_teacher
from raykd.distill.recipes import MANY_ON_MANY, NOISY_STUDENT, ONE_ON_ONE, students
from raykd.distill.rounds import rounds
from raykd.distill.stages import model_spec, round_spec, student_spec
from raykd.distill.weighting import labelled_validation_rows, teacher_weights
from raykd.ensemble import average, member_weights
from raykd.evaluate.quality import quality
from raykd.evaluate.speed import speed
from raykd.models.build import ModelSpec, count_parameters
from raykd.train.checkpoint import load_weights
from raykd.train.job import Report
from raykd.train.predict import BATCH, Predictor, probabilities_of

_BYTES_PER_PARAMETER = 4
_COSTS = ("parameters", "bytes", "examples_per_second", "latency_ms_p50", "latency_ms_p95")

Kind = Literal["teacher", "teacher_ensemble", "student", "student_ensemble"]


@dataclass(frozen=True)
class Entry:
    """A line of the results: one model, or several that predict together."""

    name: str
    kind: Kind
    recipe: str | None
    members: tuple[str, ...]


def entries(config: Config, best_teacher: str, scored: Sequence[str] = ()) -> list[Entry]:
    """The lines of the results; members are the folders of trained models and of external teachers' logits.

    Args: scored: external teachers that have scored the test split; the others have no line.
    """
    members = {teacher.name: teacher_folder(teacher.name) for teacher in config.teachers}
    members.update({name: logits_folder(name) for name in scored})
    lines = [Entry(f"teacher/{name}", "teacher", None, (folder,)) for name, folder in members.items()]
    if members:
        lines.append(Entry("teacher_ensemble", "teacher_ensemble", None, tuple(members.values())))
    for recipe in config.distill.recipes:
        trained = students([recipe], config.teacher_names)
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
    scored = manifest.external_with("test")
    reader = Reader(run, manifest.of("test"), manifest.inputs, tuple(map(external_folder, scored)))
    shards = list(reader.all())
    rows = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    lines = entries(config, best_teacher(config, run), scored)
    outside = {logits_folder(name): probabilities_of(rows["teacher_logits"][:, [i]]) for i, name in enumerate(scored)}
    folders = sorted({folder for line in lines for folder in line.members if folder not in outside})
    predictors, parameters, predictions = {}, {}, dict(outside)
    for count, folder in enumerate(folders, start=1):
        spec, jit_compile = spec_of(config, folder, manifest)
        predictors[folder] = Predictor(spec, load_weights(run, folder), jit_compile)
        parameters[folder] = count_parameters(spec)
        predictions[folder] = probabilities_of(predictors[folder].logits(rows))
        report({"folder": EVALUATION, "share": 0.5 * count / len(folders)})
    weights = {line.name: member_weights_of(line, config, predictors, run, manifest) for line in lines}
    combined = {
        line.name: average([predictions[folder] for folder in line.members], weights[line.name], config.distill.average)
        for line in lines
    }
    reference = next((combined[line.name] for line in lines if line.kind == "teacher_ensemble"), None)
    batch = _timing_batch(rows, manifest)
    models = []
    for count, line in enumerate(lines, start=1):
        own = [folder for folder in line.members if folder in predictors]
        models.append(
            {
                "name": line.name,
                "kind": line.kind,
                "recipe": line.recipe,
                **_shown_weights(line, weights[line.name]),
                **quality(combined[line.name], rows["label"], reference, config.seed),
                **_costs([predictors[folder] for folder in own], sum(parameters[folder] for folder in own), batch),
            }
        )
        report({"folder": EVALUATION, "share": 0.5 + 0.5 * count / len(lines)})
    best = f"teacher/{best_teacher(config, run)}"
    compared = compare(models, best)
    learned_from = "external teachers" if "train" in manifest.scored_only else "labels"
    measured = {"best_teacher": best, "learned_from": learned_from, "device": _device(), "models": compared}
    run.write_json(f"{EVALUATION}/models.json", measured)
    return {"rows": len(rows["label"]), "seconds": time.perf_counter() - begun}


def member_weights_of(
    line: Entry, config: Config, predictors: Mapping[str, Predictor], run: RunDirectory, manifest: Manifest
) -> tuple[float, ...] | None:
    """Weights of an ensemble's members, worked out on the validation split; None: equal ones.

    Teachers have the weights with which they teach as an average.
    Raises: InputError as `labelled_validation_rows`.
    """
    if line.kind == "teacher_ensemble":
        names = [folder.partition("/")[2] for folder in line.members]
        return teacher_weights(config.distill, names, run, manifest)
    if line.kind != "student_ensemble" or config.distill.weighting == "uniform":
        return None
    rows = labelled_validation_rows(run, manifest)
    predictions = [probabilities_of(predictors[folder].logits(rows)) for folder in line.members]
    return member_weights(config.distill.weighting, predictions, rows["label"], config.distill.average)


def _shown_weights(line: Entry, weights: Sequence[float] | None) -> dict[str, list[float]]:
    if line.kind not in ("teacher_ensemble", "student_ensemble"):
        return {}
    return {"weights": list(weights or [1.0 / len(line.members)] * len(line.members))}


def _costs(members: Sequence[Predictor], parameters: int, batch: Any) -> dict[str, float | None]:
    """Size and speed of the members that are models; None where there is none: an external teacher's are unknown."""
    if not members:
        return dict.fromkeys(_COSTS)
    return {"parameters": parameters, "bytes": parameters * _BYTES_PER_PARAMETER, **speed(members, batch)}


def compare(models: Sequence[dict[str, Any]], best_teacher: str) -> list[dict[str, Any]]:
    """Each model with its retention of accuracy and its speed-up, against the best teacher and the ensemble.

    None where one of the two has no line or was not timed. An ensemble's speed is that of its trained teachers.
    """
    best = next((model for model in models if model["name"] == best_teacher), {})
    together = next((model for model in models if model["kind"] == "teacher_ensemble"), {})
    return [
        {
            **model,
            "retention": _ratio("accuracy", model, best),
            "retention_ensemble": _ratio("accuracy", model, together),
            "speedup": _ratio("examples_per_second", model, best),
            "speedup_ensemble": _ratio("examples_per_second", model, together),
        }
        for model in models
    ]


def _ratio(figure: str, model: dict[str, Any], other: dict[str, Any]) -> float | None:
    if model[figure] is None or other.get(figure) is None:
        return None
    return float(model[figure] / other[figure])


def spec_of(config: Config, folder: str, manifest: Manifest) -> tuple[ModelSpec, bool]:
    """The model in a folder of the run, and whether XLA compiles it."""
    for teacher in config.teachers:
        if folder == teacher_folder(teacher.name):
            return model_spec(teacher.model, manifest), teacher.training.jit_compile
    if folder in {one.folder for one in rounds(config)}:
        return round_spec(config, manifest), config.distill.noisy_student.training.jit_compile
    trained = students(config.distill.recipes, config.teacher_names)
    [student] = [student for student in trained if student.folder == folder]
    return student_spec(config, student, manifest), config.student.training.jit_compile


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
