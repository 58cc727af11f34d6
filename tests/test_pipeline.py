"""The whole digits job, run once, and what a second run does."""

import json
from pathlib import Path
from typing import Any

import pytest

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.data.shards import read_manifest
from raykd.loading import load_config
from raykd.pipeline import plan, preview, run, sweeping

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


def test_every_training_reports_speed_and_stalls_per_epoch(digits_run: DigitsRun) -> None:
    directory, evaluation = digits_run
    stages = {stage["name"]: stage for stage in evaluation["stages"]}
    history = directory.read_json("teachers/wide/history.json")
    assert len(stages["teachers/wide"]["per_epoch"]) == len(history)
    assert all(epoch["examples_per_second"] > 0 for epoch in stages["teachers/wide"]["per_epoch"])
    assert all(0 <= epoch["stall_fraction"] <= 1 for epoch in stages["students/many_on_one"]["per_epoch"])
    assert stages["examples"]["per_epoch"] is None


def test_logits_stand_beside_every_training_shard(digits_run: DigitsRun) -> None:
    directory, _ = digits_run
    root = Path(directory.path())
    names = {path.relative_to(root / "examples") for path in (root / "examples/train").glob("*.parquet")}
    assert names
    for teacher in ("wide", "deep", "conv"):
        folder = root / "logits" / teacher
        assert {path.relative_to(folder) for path in (folder / "train").glob("*.parquet")} == names
        assert not (folder / "test").exists()


def test_second_run_does_nothing_again(digits_config: Config, digits_run: DigitsRun) -> None:
    directory, evaluation = digits_run
    before = {path: path.stat().st_mtime_ns for path in Path(directory.path()).rglob("done.json")}
    assert run(digits_config) == evaluation
    assert {path: path.stat().st_mtime_ns for path in Path(directory.path()).rglob("done.json")} == before
    assert all(step.done for step in preview(digits_config))


def test_run_directory_holds_no_leftovers(digits_run: DigitsRun) -> None:
    directory, evaluation = digits_run
    root = Path(directory.path())
    assert not list(root.rglob("checkpoints"))
    assert not list(root.rglob("*.part-*"))
    assert json.loads((root / "evaluation.json").read_text()) == evaluation
    assert f"{_model(evaluation, 'student/many_on_one')['accuracy']:.2%}"[:4] in (root / "report.html").read_text()


def _fingerprints(*overrides: str) -> dict[str, str]:
    return {step.name: step.fingerprint for step in plan(load_config("digits", overrides))}


@pytest.mark.parametrize(
    ("override", "kept", "redone"),
    [
        ("distill.temperature=2", ["examples", "teachers/wide", "logits/wide", "students/plain"],
         ["students/many_on_one", "students/many_on_many/wide", "evaluation"]),
        ("student.training.epochs=3", ["examples", "teachers/wide", "logits/wide"], ["students/plain", "evaluation"]),
        ("teachers.wide.training.epochs=3", ["examples", "teachers/deep", "logits/deep", "students/many_on_many/deep"],
         ["teachers/wide", "logits/wide", "students/many_on_many/wide", "students/many_on_one", "evaluation"]),
        ("data.cache=none", ["examples", "teachers/wide", "students/many_on_one", "evaluation"], []),
        ("seed=1", [], ["examples", "teachers/wide", "logits/wide", "students/plain", "evaluation"]),
    ],
)  # fmt: skip
def test_changed_setting_redoes_only_what_depends_on_it(override: str, kept: list[str], redone: list[str]) -> None:
    before, after = _fingerprints(), _fingerprints(override)
    assert all(before[name] == after[name] for name in kept)
    assert all(before[name] != after[name] for name in redone)


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
