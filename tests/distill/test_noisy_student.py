"""Noisy Student: its rounds, what they redo, which rows they keep, and a small run on digits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from raykd.artifacts import EXAMPLES, RunDirectory, logits_folder
from raykd.config import Config
from raykd.data.encoding import InputSpec
from raykd.data.reader import Reader
from raykd.data.shards import Manifest, Shard, hash_ids, read_manifest, write_table
from raykd.distill.checks import check_unlabelled
from raykd.distill.noisy_student import Kept
from raykd.distill.rounds import Round, rounds
from raykd.distill.stages import model_of_step, round_job
from raykd.errors import InputError
from raykd.loading import load_config
from raykd.pipeline import run
from raykd.plan import plan
from raykd.preview import preview

ROUNDS = {"students/noisy_student/round-1", "logits/noisy_student-1", "students/noisy_student/round-2"}


def _config(*overrides: str) -> Config:
    return load_config("digits", ["distill.recipes=[noisy_student]", *overrides])


def test_each_round_learns_from_the_one_before() -> None:
    first, second, third = rounds(_config("distill.noisy_student.rounds=3"))
    assert first == Round(1, ("wide", "deep", "conv"))
    assert (second.teachers, third.teachers) == ((first.store,), (second.store,))
    assert second.folder == "students/noisy_student/round-2"
    assert rounds(load_config("digits")) == []


def test_rounds_wait_for_one_another() -> None:
    needs = {step.name: step.needs for step in plan(_config())}
    assert needs["students/noisy_student/round-1"] == ("logits/wide", "logits/deep", "logits/conv")
    assert needs["logits/noisy_student-1"] == ("students/noisy_student/round-1",)
    assert needs["students/noisy_student/round-2"] == ("logits/noisy_student-1",)
    assert "logits/noisy_student-2" not in needs
    assert set(needs["evaluation"]) > ROUNDS


BOTH = "distill.recipes=[plain,many_on_one,one_avg_on_one,noisy_student]"


def _fingerprints(*overrides: str) -> dict[str, str]:
    return {step.name: step.fingerprint for step in plan(_config(BOTH, *overrides))}


def _predictions(steps: set[str]) -> set[str]:
    return {f"predictions/{name}" for name in steps if name.startswith("students/")}


@pytest.mark.parametrize(
    ("override", "redone"),
    [
        ("distill.noisy_student.confidence=0.5", ROUNDS),
        ("distill.noisy_student.balance=false", ROUNDS),
        ("distill.noisy_student.labels=hard", ROUNDS),
        ("distill.noisy_student.training.augment.shift=1", ROUNDS),
        ("distill.noisy_student.model={type: mlp, hidden: [32]}", ROUNDS),
        ("distill.noisy_student.rounds=3", set()),
        ("distill.weighting=fitted", {*ROUNDS, "students/one_avg_on_one"}),
        ("distill.stage1.epochs=3", {"students/many_on_one", "students/one_avg_on_one"}),
        ("distill.temperature=3", {"students/many_on_one", "students/one_avg_on_one"}),
        ("student.training.epochs=3", {"students/plain", "students/many_on_one", "students/one_avg_on_one"}),
    ],
)
def test_settings_redo_only_what_depends_on_them(override: str, redone: set[str]) -> None:
    before, after = _fingerprints(), _fingerprints(override)
    assert {name for name in before if before[name] != after[name]} == {*redone, *_predictions(redone), "evaluation"}


def test_rounds_leave_other_students_as_they_were() -> None:
    before = {step.name: step.fingerprint for step in plan(load_config("digits"))}
    after = _fingerprints("distill.noisy_student.confidence=0.9")
    assert before["students/many_on_one"] == after["students/many_on_one"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("distill.noisy_student.rounds=0", r"distill\.noisy_student\.rounds: found 0, expected: .*greater"),
        ("distill.noisy_student.confidence=1", r"distill\.noisy_student\.confidence: found 1, expected"),
        ("distill.noisy_student.labels=firm", r"distill\.noisy_student\.labels: found 'firm', expected"),
        ("distill.noisy_student.confidense=0.2", "did you mean confidence"),
        ("distill.noisy_student.training.augment.mixup=0.5", r"mixup: found 0\.5, but soft labels .* labels: hard"),
        ("distill.noisy_student.training.batch_size=12", r"noisy_student\.training\.batch_size: found 12, expected"),
        ("teachers.wide.name=noisy_student-1", "the name noisy_student-1 is that of a student"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(override: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        _config(override)
    assert "\n" not in str(caught.value)


def test_rounds_unasked_for_are_not_checked() -> None:
    load_config("digits", ["distill.noisy_student.training.batch_size=12"])
    _config("distill.noisy_student.labels=hard", "distill.noisy_student.training.augment.mixup=0.5")


INPUTS = InputSpec("features", length=2, dtype="float32")
LABELS = {"train": [0, 1], "unlabelled": [-1] * 4}
# Both teachers' mean is unsure of the labelled rows; its confidence in the others is 0.8, 0.8, 0.55 and 0.9.
FIRST = [[0.5, 0.5], [0.5, 0.5], [0.8, 0.2], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]
SECOND = [[0.5, 0.5], [0.5, 0.5], [0.8, 0.2], [0.8, 0.2], [0.5, 0.5], [0.1, 0.9]]


@pytest.fixture
def manifest(run_directory: RunDirectory) -> Manifest:
    shards, start = [], 0
    for split, labels in LABELS.items():
        ids = np.arange(start, start + len(labels))
        shard = Shard(split, 0, len(ids), hash_ids(ids))
        columns = {
            "example_id": ids,
            "label": np.array(labels, np.int32),
            "inputs": [np.zeros(2, np.float32)] * len(ids),
        }
        write_table(run_directory, f"{EXAMPLES}/{shard.name}", columns)
        for teacher, probabilities in (("wide", FIRST), ("deep", SECOND)):
            logits = list(np.log(np.array(probabilities)[ids]).astype(np.float16))
            write_table(run_directory, f"{logits_folder(teacher)}/{shard.name}", {"example_id": ids, "logits": logits})
        shards.append(shard)
        start += len(ids)
    return Manifest(2, INPUTS, tuple(shards))


ONE = Round(1, ("wide", "deep"))


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_the_job_weighs_rows_by_class_and_confidence(
    run_directory: RunDirectory, manifest: Manifest, labels: str
) -> None:
    config = _config("distill.noisy_student.confidence=0.7", f"distill.noisy_student.labels={labels}")
    job, kept = round_job(config, ONE, manifest, run_directory)
    assert kept == Kept(4, (2, 1))
    assert (job.splits, job.temperature, job.alpha) == (("train", "unlabelled"), 1.0, 0.0)
    rows = list(Reader(run_directory, manifest.of(*job.splits), INPUTS, job.logits, job.selection).all())
    weights, found = (np.concatenate([shard[name] for shard in rows]).tolist() for name in ("weight", "label"))
    # Of 3 rows kept each of the 2 classes is to count as 1.5.
    assert weights == pytest.approx([1.0, 1.0, 0.75, 0.75, 0.0, 1.5])
    assert found == ([0, 1, -1, -1, -1, -1] if labels == "soft" else [0, 1, 0, 0, -1, 1])


def test_labels_teach_labelled_rows_and_teachers_the_others(run_directory: RunDirectory, manifest: Manifest) -> None:
    job, _ = round_job(_config(), ONE, manifest, run_directory)
    teachers = np.stack([np.log(FIRST), np.log(SECOND)], axis=1).astype(np.float32)
    student = np.random.default_rng(1).normal(size=(6, 1, 2)).astype(np.float32)
    labels = np.array([0, 1, -1, -1, -1, 1], np.int32)
    found = job.objective(labels, student, teachers, job.alpha, job.temperature).numpy()
    log_q, mean = log_softmax(student[:, 0], axis=1), softmax(teachers, axis=2).mean(axis=1)
    soft = (mean * (np.log(mean) - log_q)).sum(axis=1)
    hard = -log_q[np.arange(6), np.maximum(labels, 0)]
    np.testing.assert_allclose(found, np.where(labels >= 0, hard, soft), atol=1e-5)


def test_without_balance_kept_rows_count_alike(run_directory: RunDirectory, manifest: Manifest) -> None:
    job, kept = round_job(_config("distill.noisy_student.balance=false"), ONE, manifest, run_directory)
    assert kept == Kept(4, (3, 1))
    assert job.selection is not None
    assert job.selection.class_weights is None


def test_a_confidence_that_no_row_reaches_is_refused(run_directory: RunDirectory, manifest: Manifest) -> None:
    with pytest.raises(InputError, match=r"confidence: found 0\.95, .*round 1 is at most 0\.900 sure .* 4 unlabelled"):
        round_job(_config("distill.noisy_student.confidence=0.95"), ONE, manifest, run_directory)


def test_without_unlabelled_rows_the_recipe_is_refused() -> None:
    labelled = Manifest(2, INPUTS, (Shard("train", 0, 8, ""),))
    with pytest.raises(InputError, match=r"distill\.recipes: noisy_student .* found none beside 8 labelled"):
        check_unlabelled(_config(), labelled)
    check_unlabelled(load_config("digits"), labelled)


def test_the_dry_run_knows_the_rounds_model(manifest: Manifest) -> None:
    config = _config("distill.noisy_student.model={type: mlp, hidden: [3]}")
    for step in ROUNDS:
        spec = model_of_step(config, step, manifest)
        assert spec is not None
        assert spec.config == config.distill.noisy_student.model
    assert model_of_step(config, "teachers/wide", manifest) != spec


QUICK = "{epochs: 10, batch_size: 32, learning_rate: 1.0e-2, jit_compile: false}"


@pytest.fixture(scope="module")
def small(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, dict[str, Any]]:
    storage = tmp_path_factory.mktemp("noisy")
    config = _config(
        f"storage_path={storage}",
        "teachers=[{name: a, model: {type: mlp, hidden: [64]}}, {name: b, model: {type: mlp, hidden: [48]}}]",
        "teacher_defaults={training: {epochs: 8, batch_size: 32, learning_rate: 5.0e-3, jit_compile: false}}",
        f"distill.noisy_student.training={QUICK}",
        "distill.noisy_student.model={type: mlp, hidden: [64], dropout: 0.2}",
    )
    return config, run(config)


@pytest.mark.slow
def test_every_round_is_evaluated(small: tuple[Config, dict[str, Any]]) -> None:
    config, evaluation = small
    lines = {model["name"]: model for model in evaluation["models"]}
    assert list(lines) == ["teacher/a", "teacher/b", "teacher_ensemble",
                           "student/noisy_student/round-1", "student/noisy_student/round-2"]  # fmt: skip
    for name in ("student/noisy_student/round-1", "student/noisy_student/round-2"):
        assert (lines[name]["kind"], lines[name]["recipe"]) == ("student", "noisy_student")
        assert lines[name]["accuracy"] > 0.8
    stages = [stage["name"] for stage in evaluation["stages"]]
    assert set(stages) > ROUNDS
    page = (Path(config.storage_path) / config.name / "report.html").read_text()
    assert "noisy_student/round-2" in page


@pytest.mark.slow
def test_rows_kept_are_weighed_in_the_run(small: tuple[Config, dict[str, Any]]) -> None:
    config, _ = small
    directory = RunDirectory.at(config.storage_path, config.name)
    manifest = read_manifest(directory)
    for one in rounds(config):
        job, kept = round_job(config, one, manifest, directory)
        facts = directory.facts(one.folder)
        assert facts["kept"] == sum(kept.by_class) <= facts["unlabelled"] == manifest.rows("unlabelled")
        rows = list(Reader(directory, manifest.of(*job.splits), manifest.inputs, job.logits, job.selection).all())
        labels, weights = (np.concatenate([shard[name] for shard in rows]) for name in ("label", "weight"))
        assert set(weights[labels >= 0]) == {1.0}
        assert weights[labels < 0].sum() == pytest.approx(facts["kept"], rel=1e-5)
        assert (weights[labels < 0] > 0).sum() == facts["kept"]


@pytest.mark.slow
def test_a_changed_confidence_redoes_the_rounds_alone(small: tuple[Config, dict[str, Any]]) -> None:
    config, evaluation = small
    assert all(step.done for step in preview(config))
    noisy = config.distill.noisy_student.model_copy(update={"confidence": 0.5})
    changed = config.model_copy(update={"distill": config.distill.model_copy(update={"noisy_student": noisy})})
    planned = {step.step: step for step in preview(changed)}
    assert {name for name, step in planned.items() if not step.done} == {*ROUNDS, *_predictions(ROUNDS), "evaluation"}
    manifest = read_manifest(RunDirectory.at(config.storage_path, config.name))
    assert planned["students/noisy_student/round-1"].rows == 10 * manifest.rows("train", "unlabelled")
    assert planned["predictions/students/noisy_student/round-1"].rows == manifest.rows("validation", "test")
    assert planned["students/noisy_student/round-2"].parameters == 64 * 64 + 64 + 64 * 10 + 10
    assert run(config) == evaluation
