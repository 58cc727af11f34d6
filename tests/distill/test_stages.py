"""What teachers and students learn from, where an external teacher takes part."""

from typing import Any

import pytest

from raykd.artifacts import RunDirectory, external_folder, logits_folder
from raykd.config import Config
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard
from raykd.distill.recipes import PLAIN, TMKD, Student, students
from raykd.distill.stages import student_jobs, student_spec, teacher_job
from raykd.loading import parse_config

SHARDS = tuple(Shard(split, 0, 16, "") for split in ("train", "validation", "test"))
SPLITS = ("train", "validation")
RUN = RunDirectory("unread")


def _config(trained: str, external: str, **distill: Any) -> Config:
    return parse_config(
        {
            "data": {"source": "a.parquet", "columns": {"features": "x", "external": {n: f"p_{n}" for n in external}}},
            "teachers": [{"name": name, "model": {"type": "mlp"}} for name in trained],
            "student": {"model": {"type": "mlp"}},
            "distill": distill,
        }
    )


def _manifest(external: str, scored_only: tuple[str, ...] = ()) -> Manifest:
    inputs = InputSpec("features", 4, "float32")
    return Manifest(2, inputs, SHARDS, tuple((name, SPLITS) for name in external), scored_only)


def test_students_read_external_logits_from_the_store_behind_the_trained_teachers() -> None:
    config = _config("ab", "x")
    [student] = students(["many_on_one"], config.teacher_names)
    for job in student_jobs(config, student, _manifest("x"), RUN):
        assert job.logits == tuple(map(logits_folder, "abx"))
        assert job.model.heads == 4


def test_labels_where_there_are_some_teach_teachers_and_the_plain_student() -> None:
    config = _config("a", "x")
    [plain] = student_jobs(config, Student(PLAIN, ()), _manifest("x", ("validation",)), RUN)
    for job in (plain, teacher_job(config, "a", _manifest("x"))):
        assert (job.logits, job.alpha) == ((), 0.0)


@pytest.mark.parametrize("external", ["x", "xy"])
def test_without_labels_they_learn_from_the_external_probabilities(external: str) -> None:
    config = _config("a", external, soft_loss="logit_mse", temperature=3.0)
    manifest = _manifest(external, SPLITS)
    [plain] = student_jobs(config, Student(PLAIN, ()), manifest, RUN)
    for job in (plain, teacher_job(config, "a", manifest)):
        assert job.logits == tuple(map(external_folder, external))
        assert (job.alpha, job.temperature, job.model.heads) == (1.0, 1.0, 1)
        assert (job.objective.soft_loss, job.objective.average) == ("kl", len(external) > 1)


@pytest.mark.parametrize(("external", "heads"), [("x", 1), ("xy", 2), ("xyz", 3)])
def test_without_labels_there_is_no_golden_head(external: str, heads: int) -> None:
    config = _config("", external)
    student = Student(TMKD, tuple(external))
    assert student_spec(config, student, _manifest(external, ("train",))).heads == heads
    assert student_spec(config, student, _manifest(external, ("validation",))).heads == heads + 1
