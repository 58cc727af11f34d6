"""The evaluation: every model and ensemble once on the test split, at the very end."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raykd.artifacts import (
    EVALUATION,
    FIGURES,
    TEMPERATURE,
    RunDirectory,
    external_folder,
    logits_folder,
    teacher_folder,
)
from raykd.config import Config
from raykd.data.largest import spread
from raykd.data.portions import Portions
from raykd.data.reader import Reader
from raykd.data.shards import Arrays, Manifest, read_manifest, read_shard
from raykd.distill.inheritance import best_teacher
from raykd.distill.recipes import MANY_ON_MANY, NOISY_STUDENT, ONE_ON_ONE, PLAIN, students
from raykd.distill.rounds import rounds
from raykd.distill.stages import model_spec, round_spec, student_spec
from raykd.distill.weighting import check_labelled, teacher_weights
from raykd.ensemble import average, member_weights
from raykd.evaluate.calibration import CALIBRATION
from raykd.evaluate.figures import figures
from raykd.evaluate.measures import measured
from raykd.evaluate.predictions import predictions
from raykd.evaluate.quality import Floats, Labels
from raykd.evaluate.speed import Clock
from raykd.models.build import ModelSpec
from raykd.train.checkpoint import load_weights
from raykd.train.job import Report
from raykd.train.predict import BATCH, Predictor, probabilities_of, rows_at_once

_MEASURED = 0.4  # of the evaluation's time, about: the rest goes into timing
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
    """Measure every model and ensemble on the test split; publish `evaluation/models.json` and `figures.json`."""
    begun = time.perf_counter()
    manifest = read_manifest(run)
    scored = manifest.external_with("test")
    reader = Reader(run, manifest.of("test"), manifest.inputs, tuple(map(external_folder, scored)))
    portions = Portions(reader, manifest.classes)
    rows = portions.without_inputs()
    lines = entries(config, best_teacher(config, run), scored)
    outside = {
        logits_folder(name): probabilities_of(spread(rows["teacher_logits"][:, [i]], manifest.classes))
        for i, name in enumerate(scored)
    }
    folders = sorted({folder for line in lines for folder in line.members if folder not in outside})
    specs = {folder: spec_of(config, folder, manifest) for folder in folders}
    predicted = {**outside, **{folder: predictions(folder, "test", run, manifest) for folder in folders}}
    held_out = _Validation(config, run, manifest)
    weights = {line.name: member_weights_of(line, config, held_out, run, manifest) for line in lines}
    combined = {
        line.name: average([predicted[folder] for folder in line.members], weights[line.name], config.distill.average)
        for line in lines
    }
    reference = next((line.name for line in lines if line.kind == "teacher_ensemble"), None)
    plain = next((line.name for line in lines if line.recipe == PLAIN.name), None)
    validation = held_out.predicted(lines, weights)
    found, conditions = measured(combined, rows, config.seed, reference=reference, plain=plain, validation=validation)
    report({"folder": EVALUATION, "share": _MEASURED})
    predictors = {folder: Predictor(spec, load_weights(run, folder)) for folder, spec in specs.items()}
    trained = {line.name: [folder for folder in line.members if folder in predictors] for line in lines}
    batch = _timing_batch(next(iter(portions)), manifest)
    clock = Clock(specs, predictors, batch, list(filter(None, trained.values())))
    models = []
    for line in lines:
        described = {"name": line.name, "kind": line.kind, "recipe": line.recipe}
        timed = clock.costs(trained[line.name])
        models.append({**described, **_shown_weights(line, weights[line.name]), **found[line.name], **timed})
    best = f"teacher/{best_teacher(config, run)}"
    learned_from = "external teachers" if "train" in manifest.scored_only else "labels"
    about = {"best_teacher": best, "learned_from": learned_from, "device": _device(), **clock.conditions, **conditions}
    run.write_json(f"{EVALUATION}/models.json", {**about, "models": compare(models, best)})
    temperatures = _publish_temperatures(run, lines, found)
    teachers = [line.name for line in lines if line.kind in ("teacher", "teacher_ensemble")]
    run.write_json(FIGURES, figures(combined, rows["label"], temperatures, teachers))
    return {"rows": len(rows["label"]), "seconds": time.perf_counter() - begun}


class _Validation:
    """Students' predictions of the validation rows that have a label."""

    def __init__(self, config: Config, run: RunDirectory, manifest: Manifest) -> None:
        self._space = config.distill.average
        self._run, self._manifest = run, manifest
        labels_B = np.concatenate([read_shard(run, shard)["label"].to_numpy() for shard in manifest.of("validation")])
        self._known_B = labels_B >= 0
        self.labels: Labels = labels_B[self._known_B]
        self._predictions: dict[str, Floats] = {}

    def predicted(
        self, lines: Sequence[Entry], weights: Mapping[str, Sequence[float] | None]
    ) -> dict[str, tuple[Floats, Labels]]:
        """Probabilities and labels for each line of trained students; none where no row has a label."""
        if not len(self.labels):
            return {}
        return {
            line.name: (average(list(map(self.of, line.members)), weights[line.name], self._space), self.labels)
            for line in lines
            if line.kind in ("student", "student_ensemble")
        }

    def of(self, folder: str) -> Floats:
        """One model's probabilities."""
        if folder not in self._predictions:
            predicted_BC = predictions(folder, "validation", self._run, self._manifest)
            self._predictions[folder] = predicted_BC[self._known_B]
        return self._predictions[folder]


def _publish_temperatures(
    run: RunDirectory, lines: Sequence[Entry], found: Mapping[str, dict[str, Any]]
) -> dict[str, float]:
    """`temperature.json` beside each student's weights, for whoever serves it. Returns: the temperatures by line."""
    fitted = {name: line for name, line in found.items() if line["temperature"] is not None}
    for line in lines:
        if line.kind == "student" and line.name in fitted:
            own = {figure: fitted[line.name][figure] for figure in CALIBRATION}
            run.write_json(f"{line.members[0]}/{TEMPERATURE}", own)
    return {name: float(line["temperature"]) for name, line in fitted.items()}


def stored_temperature(run: RunDirectory, folders: Sequence[str]) -> float:
    """With which the prediction of these models is calibrated; 1 for an ensemble, or what is not calibrated."""
    if len(folders) > 1 or not run.exists(f"{folders[0]}/{TEMPERATURE}"):
        return 1.0
    return float(run.read_json(f"{folders[0]}/{TEMPERATURE}")["temperature"])


def member_weights_of(
    line: Entry, config: Config, held_out: _Validation, run: RunDirectory, manifest: Manifest
) -> tuple[float, ...] | None:
    """Weights of an ensemble's members, worked out on the validation split; None: equal ones.

    Teachers have the weights with which they teach as an average.
    Raises: InputError as `check_labelled`.
    """
    if line.kind == "teacher_ensemble":
        names = [folder.partition("/")[2] for folder in line.members]
        return teacher_weights(config.distill, names, run, manifest)
    if line.kind != "student_ensemble" or config.distill.weighting == "uniform":
        return None
    check_labelled(held_out.labels)
    predictions = list(map(held_out.of, line.members))
    return member_weights(config.distill.weighting, predictions, held_out.labels, config.distill.average)


def _shown_weights(line: Entry, weights: Sequence[float] | None) -> dict[str, list[float]]:
    if line.kind not in ("teacher_ensemble", "student_ensemble"):
        return {}
    return {"weights": list(weights or [1.0 / len(line.members)] * len(line.members))}


def compare(models: Sequence[dict[str, Any]], best_teacher: str) -> list[dict[str, Any]]:
    """Each model with its retention of accuracy and its speed-up, against the best teacher and the ensemble.

    None where one of the two has no line or was not timed, or the other predicts no row right. An ensemble's speed is
    that of its trained teachers.
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
    if model[figure] is None or not other.get(figure):
        return None
    return float(model[figure] / other[figure])


def spec_of(config: Config, folder: str, manifest: Manifest) -> ModelSpec:
    """The model in a folder of the run."""
    for teacher in config.teachers:
        if folder == teacher_folder(teacher.name):
            return model_spec(teacher.model, manifest)
    if folder in {one.folder for one in rounds(config)}:
        return round_spec(config, manifest)
    trained = students(config.distill.recipes, config.teacher_names)
    [student] = [student for student in trained if student.folder == folder]
    return student_spec(config, student, manifest)


def _timing_batch(rows: Arrays, manifest: Manifest) -> Any:
    """The first rows of the test split, padded as they would be served together."""
    inputs = manifest.inputs
    count = BATCH if inputs.kind == "tokens" else min(BATCH, rows_at_once(inputs, inputs.length))
    return rows["inputs"][:count, : inputs.width(int(rows["lengths"][:count].max()))]


def _device() -> str:
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    accelerators = tf.config.list_logical_devices("GPU")
    if accelerators:
        return f"{len(accelerators)} x {tf.config.experimental.get_device_details(accelerators[0])}"
    return f"{platform.machine()} processor, {threads} thread(s)"
