"""The whole digits job, run once, and what a second run does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import log_loss

from raykd.artifacts import FIGURES, TEMPERATURE, RunDirectory, logits_folder
from raykd.config import Config
from raykd.data.portions import Portions
from raykd.data.reader import Reader
from raykd.data.shards import read_manifest
from raykd.distill.recipes import RECIPES, Student
from raykd.distill.stages import student_jobs
from raykd.ensemble import average
from raykd.errors import InputError
from raykd.loading import load_config
from raykd.pipeline import run, sweeping
from raykd.plan import plan
from raykd.preview import preview
from raykd.train.predict import probabilities_of

DigitsRun = tuple[RunDirectory, dict[str, Any]]


def _model(evaluation: dict[str, Any], name: str) -> dict[str, Any]:
    return next(model for model in evaluation["models"] if model["name"] == name)


def test_every_model_is_evaluated(digits_run: DigitsRun) -> None:
    _, evaluation = digits_run
    assert [model["name"] for model in evaluation["models"]] == [
        "teacher/wide",
        "teacher/deep",
        "teacher/conv",
        "teacher_ensemble",
        "student/plain",
        "student/one_on_one",
        "student/one_avg_on_one",
        "student/many_on_many/wide",
        "student/many_on_many/deep",
        "student/many_on_many/conv",
        "ensemble/many_on_many",
        "student/many_on_one",
    ]


def test_teachers_and_students_learn(digits_run: DigitsRun) -> None:
    _, evaluation = digits_run
    accuracy = {model["name"]: model["accuracy"] for model in evaluation["models"]}
    assert min(accuracy.values()) > 0.85
    assert accuracy["student/many_on_one"] > accuracy["student/plain"]


def test_one_on_one_is_the_best_teachers_student(digits_run: DigitsRun) -> None:
    _, evaluation = digits_run
    best = evaluation["best_teacher"].removeprefix("teacher/")
    same = ("accuracy", "auc", "nll", "brier", "ece", "agreement")
    one_on_one, paired = (_model(evaluation, name) for name in ("student/one_on_one", f"student/many_on_many/{best}"))
    assert {key: one_on_one[key] for key in same} == {key: paired[key] for key in same}


def test_retention_and_speedup_are_ratios_to_the_best_teacher(digits_run: DigitsRun) -> None:
    _, evaluation = digits_run
    best, student = _model(evaluation, evaluation["best_teacher"]), _model(evaluation, "student/many_on_one")
    assert student["retention"] == pytest.approx(student["accuracy"] / best["accuracy"])
    assert student["speedup"] == pytest.approx(student["examples_per_second"] / best["examples_per_second"])
    assert _model(evaluation, "teacher_ensemble")["retention_ensemble"] == 1.0


def test_models_built_alike_have_one_speed(digits_run: DigitsRun) -> None:
    _, evaluation = digits_run
    names = ("student/plain", "student/one_avg_on_one", "student/one_on_one")
    assert len({_model(evaluation, name)["examples_per_second"] for name in names}) == 1


def test_figures_of_single_rows_add_up_to_those_of_the_models(digits_run: DigitsRun) -> None:
    directory, evaluation = digits_run
    figures = directory.read_json(FIGURES)
    assert sum(figures["rows_by_class"]) == evaluation["rows"] == read_manifest(directory).rows("test")
    for model in evaluation["models"]:
        name, curve = model["name"], figures["reliability"][model["name"]]["before"]
        right = sum(rows for true, predicted, rows in figures["confusion"][name] if true == predicted)
        assert right / evaluation["rows"] == pytest.approx(model["accuracy"])
        gap = sum(one["rows"] * abs(one["accuracy"] - one["confidence"]) for one in curve) / evaluation["rows"]
        assert gap == pytest.approx(model["ece"])
        assert figures["agreement"][name]["teacher_ensemble"] == pytest.approx(model["agreement"])
        assert model["best_batch_examples_per_second"] >= model["examples_per_second"]


def test_students_have_a_gain_over_plain_and_a_temperature(digits_run: DigitsRun) -> None:
    directory, evaluation = digits_run
    plain, student = _model(evaluation, "student/plain"), _model(evaluation, "student/many_on_one")
    assert plain["gain"] is None
    assert student["gain"] == pytest.approx(student["accuracy"] - plain["accuracy"])
    low, high = student["gain_ci95"]
    assert low < student["gain"] < high
    assert student["gain_p"] <= student["gain_p_holm"] < 0.05
    assert student["validation_nll_tempered"] <= student["validation_nll"]
    stored = directory.read_json(f"students/many_on_one/{TEMPERATURE}")
    assert stored["temperature"] == student["temperature"] != 1.0
    assert _model(evaluation, "teacher/wide")["temperature"] is None


def test_every_training_reports_speed_and_stalls_per_epoch(digits_run: DigitsRun) -> None:
    directory, evaluation = digits_run
    stages = {stage["name"]: stage for stage in evaluation["stages"]}
    history = directory.read_json("teachers/wide/history.json")
    assert len(stages["teachers/wide"]["per_epoch"]) == len(history)
    assert all(epoch["examples_per_second"] > 0 for epoch in stages["teachers/wide"]["per_epoch"])
    assert all(0 <= epoch["stall_fraction"] <= 1 for epoch in stages["students/many_on_one"]["per_epoch"])
    assert stages["examples"]["per_epoch"] is None


def test_logits_stand_beside_every_shard_but_those_of_the_test(digits_run: DigitsRun) -> None:
    directory, _ = digits_run
    root = Path(directory.path())
    names = {path.relative_to(root / "examples") for path in (root / "examples").glob("*/*.parquet")}
    scored = {name for name in names if name.parts[0] != "test"}
    assert {name.parts[0] for name in scored} == {"train", "unlabelled", "validation"}
    for teacher in ("wide", "deep", "conv"):
        folder = root / "logits" / teacher
        assert {path.relative_to(folder) for path in folder.glob("*/*.parquet")} == scored


def test_ensembles_have_equal_weights_and_single_models_none(digits_run: DigitsRun) -> None:
    _, evaluation = digits_run
    weights = {model["name"]: model["weights"] for model in evaluation["models"] if "weights" in model}
    assert weights == {"teacher_ensemble": [1 / 3] * 3, "ensemble/many_on_many": [1 / 3] * 3}


def test_second_run_does_nothing_again(digits_config: Config, digits_run: DigitsRun) -> None:
    directory, evaluation = digits_run
    before = {path: path.stat().st_mtime_ns for path in Path(directory.path()).rglob("done.json")}
    assert run(digits_config) == evaluation
    assert {path: path.stat().st_mtime_ns for path in Path(directory.path()).rglob("done.json")} == before
    assert all(step.done for step in preview(digits_config))


def test_an_evaluation_that_was_redone_is_told(digits_config: Config, digits_run: DigitsRun, tmp_path: Path) -> None:
    directory, evaluation = digits_run
    shutil.copytree(directory.path(), tmp_path / digits_config.name)
    file = tmp_path / digits_config.name / "evaluation.json"
    file.write_text(json.dumps({**evaluation, "fingerprint": "of other settings", "models": []}))
    found = run(digits_config.model_copy(update={"storage_path": str(tmp_path)}))
    assert (found["models"], found["fingerprint"]) == (evaluation["models"], evaluation["fingerprint"])
    assert json.loads(file.read_text()) == found


def test_run_directory_holds_no_leftovers(digits_run: DigitsRun) -> None:
    directory, evaluation = digits_run
    root = Path(directory.path())
    assert not list(root.rglob("checkpoints"))
    assert not list(root.rglob("*.part-*"))
    assert {path.stem for path in (root / "report").iterdir()} == {
        "agreement", "calibration", "confusion", "curves-students", "curves-teachers", "data", "frontier", "results",
        "stages",
    }  # fmt: skip
    assert json.loads((root / "evaluation.json").read_text()) == evaluation
    assert f"{_model(evaluation, 'student/many_on_one')['accuracy']:.2%}"[:4] in (root / "report.html").read_text()


def _fingerprints(*overrides: str) -> dict[str, str]:
    return {step.name: step.fingerprint for step in plan(load_config("digits", overrides))}


_UNWEIGHTED = ["examples", "teachers/wide", "logits/wide", "students/plain", "students/many_on_many/wide"]


@pytest.mark.parametrize(
    ("override", "kept", "redone"),
    [
        ("distill.temperature=2", ["examples", "teachers/wide", "logits/wide", "students/plain"],
         ["students/many_on_one", "students/many_on_many/wide", "evaluation"]),
        ("student.training.epochs=3", ["examples", "teachers/wide", "logits/wide"], ["students/plain", "evaluation"]),
        ("teachers.wide.training.epochs=3", ["examples", "teachers/deep", "logits/deep", "students/many_on_many/deep"],
         ["teachers/wide", "logits/wide", "students/many_on_many/wide", "students/many_on_one", "evaluation"]),
        ("distill.weighting=fitted", ["students/many_on_one", *_UNWEIGHTED], ["students/one_avg_on_one", "evaluation"]),
        ("distill.average=logits", ["students/many_on_one", *_UNWEIGHTED], ["students/one_avg_on_one", "evaluation"]),
        ("distill.dkd_weights=[1,2]", ["students/one_avg_on_one", "students/many_on_one", "evaluation"], []),
        ("distill.soft_loss=dkd", ["logits/wide", "students/plain"], ["students/many_on_one", "evaluation"]),
        ("distill.stage1.augment.shift=1", ["teachers/wide", "logits/wide", "students/plain"],
         ["students/many_on_one", "students/many_on_many/wide", "evaluation"]),
        ("teachers.deep.training.augment.mixup=0.2", ["examples", "teachers/wide", "students/many_on_many/wide"],
         ["teachers/deep", "logits/deep", "students/many_on_many/deep", "students/many_on_one", "evaluation"]),
        ("data.columns.group=null", ["examples", "teachers/wide", "evaluation"], []),
        ("data.cache=none", ["examples", "teachers/wide", "students/many_on_one", "evaluation"], []),
        ("seed=1", [], ["examples", "teachers/wide", "logits/wide", "students/plain", "evaluation"]),
    ],
)  # fmt: skip
def test_changed_setting_redoes_only_what_depends_on_it(override: str, kept: list[str], redone: list[str]) -> None:
    before, after = _fingerprints(), _fingerprints(override)
    assert all(before[name] == after[name] for name in kept)
    assert all(before[name] != after[name] for name in redone)


def test_weights_of_dkds_parts_matter_to_its_students_alone() -> None:
    before, after = (_fingerprints("distill.soft_loss=dkd", f"distill.dkd_weights={w}") for w in ("[1,8]", "[1,2]"))
    changed = {name for name in before if before[name] != after[name]}
    students = {name for name in before if name.startswith("students/")} - {"students/plain"}
    assert changed == students | {f"predictions/{name}" for name in students} | {"evaluation"}


@pytest.mark.slow
def test_fitted_weights_combine_members_and_would_teach_an_average(
    digits_config: Config, digits_run: DigitsRun, tmp_path: Path
) -> None:
    shutil.copytree(digits_run[0].path(), tmp_path / "digits")
    directory = RunDirectory.at(str(tmp_path), "digits")
    changes = {"weighting": "fitted", "recipes": ["many_on_many"]}
    distill = digits_config.distill.model_copy(update=changes)
    config = digits_config.model_copy(update={"storage_path": str(tmp_path), "distill": distill})
    assert [step.step for step in preview(config) if not step.done] == ["evaluation"]
    evaluation = run(config)
    weights = {model["name"]: model["weights"] for model in evaluation["models"] if "weights" in model}
    assert set(weights) == {"teacher_ensemble", "ensemble/many_on_many"}
    assert all(sum(values) == pytest.approx(1.0) and min(values) >= 0.0 for values in weights.values())

    teachers = tuple(teacher.name for teacher in config.teachers)
    manifest = read_manifest(directory)
    jobs = student_jobs(config, Student(RECIPES["one_avg_on_one"], teachers), manifest, directory)
    assert [list(job.objective.weights or ()) for job in jobs] == [weights["teacher_ensemble"]] * 2
    reader = Reader(directory, manifest.of("validation"), manifest.inputs, tuple(map(logits_folder, teachers)))
    rows = Portions(reader, manifest.classes).without_inputs()
    predictions = [probabilities_of(rows["teacher_logits"][:, [i]]) for i in range(3)]
    fitted, uniform = (
        log_loss(rows["label"], average(predictions, values), labels=range(10))
        for values in (weights["teacher_ensemble"], None)
    )
    assert fitted < uniform
    assert _model(evaluation, "ensemble/many_on_many")["accuracy"] > 0.85


def test_two_classes_are_refused_before_anything_trains(local_ray: None, tmp_path: Path) -> None:
    rows = [{"pixels": [float(i), 1.0], "label": i % 2} for i in range(200)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "two.parquet")
    overrides = [f"data.source={tmp_path / 'two.parquet'}", "data.columns.features=pixels", f"storage_path={tmp_path}",
                 "data.labelled=100", "distill.soft_loss=dist"]  # fmt: skip
    with pytest.raises(InputError, match=r"distill\.soft_loss: found dist, but the data has 2 classes, expected 3"):
        run(load_config("digits", overrides))
    assert not (tmp_path / "digits" / "teachers").exists()


SWEPT = "sweep.enabled=true"


@pytest.mark.parametrize(
    ("before", "after", "kept", "redone"),
    [
        ([], ["sweep.trials=3"], ["students/many_on_one", "students/plain", "evaluation"], []),
        ([], [SWEPT], ["logits/wide", "students/plain"], ["students/many_on_one", "students/many_on_many/deep"]),
        ([SWEPT], [SWEPT, "sweep.trials=3"], ["logits/wide", "students/plain"], ["sweep", "students/many_on_one"]),
        ([SWEPT], [SWEPT, "distill.alpha=0.5"], ["logits/wide", "students/plain"], ["sweep", "students/many_on_one"]),
        ([SWEPT], [SWEPT, "sweep.student=[{type: mlp}]"], ["logits/wide"], ["sweep", "students/plain", "evaluation"]),
        ([SWEPT], [SWEPT, "scaling.lanes=1"], ["sweep", "students/many_on_one"], []),
        ([SWEPT], [SWEPT, "student.training.epochs=3"], ["sweep"], ["students/plain"]),
    ],
)
def test_students_depend_on_the_sweep(before: list[str], after: list[str], kept: list[str], redone: list[str]) -> None:
    first, second = _fingerprints(*before), _fingerprints(*after)
    assert all(first[name] == second[name] for name in kept)
    assert all(first[name] != second[name] for name in redone)


def test_dry_run_of_a_sweep_counts_its_row_passes(digits_config: Config, digits_run: DigitsRun) -> None:
    config = load_config("digits", [f"storage_path={digits_config.storage_path}", "sweep.trials=5", "sweep.share=0.5"])
    steps = {step.step: step for step in preview(sweeping(config), last="sweep")}
    manifest = read_manifest(digits_run[0])
    pool, labelled = manifest.rows("train", "unlabelled"), manifest.rows("train")
    # 20 epochs of stage 1 and 10 of stage 2, half of each, five times.
    assert steps["sweep"].rows == round(5 * 0.5 * (20 * pool + 10 * labelled))
    assert (steps["sweep"].trials, steps["sweep"].done) == (5, False)
    assert "students/many_on_one" not in steps
    assert steps["logits/wide"].done
