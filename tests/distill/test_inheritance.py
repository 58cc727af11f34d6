"""Which teachers a student reads, and which settings its weights depend on."""

from typing import Any

import pytest

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard
from raykd.distill.inheritance import starting_teacher, student_settings, teachers_read
from raykd.distill.recipes import MANY_ON_MANY, PLAIN, TMKD, Student
from raykd.distill.stages import imitated_in_step, student_jobs
from raykd.loading import parse_config
from raykd.plan import plan

TEXT = {"type": "cross_encoder", "layers": 2, "width": 8}
PAIRED, TOGETHER, ALONE = Student(MANY_ON_MANY, ("b",)), Student(TMKD, ("a", "b", "c")), Student(PLAIN, ())
MANIFEST = Manifest(2, InputSpec("tokens", 16, "int32", 60), (Shard("train", 0, 8, ""), Shard("unlabelled", 0, 8, "")))
RUN = RunDirectory("unread")


def _config(initialise: Any = "random", initialise_from: str = "paired", **hidden: Any) -> Config:
    return parse_config({
        "teachers": [{"name": name, "model": TEXT} for name in "abc"],
        "student": {
            "model": {**TEXT, "layers": 1},
            "initialise": initialise,
            "initialise_from": initialise_from,
        },
        "distill": {"hidden": hidden},
    })  # fmt: skip


@pytest.fixture
def run(run_directory: RunDirectory) -> RunDirectory:
    for name, accuracy in (("a", 0.5), ("b", 0.6), ("c", 0.75)):
        run_directory.finish(f"teachers/{name}", "", validation_accuracy=accuracy)
    return run_directory


@pytest.mark.parametrize(
    ("config", "student", "read", "start"),
    [
        (_config(), PAIRED, [], None),
        (_config("first"), ALONE, [], None),
        (_config("first"), PAIRED, ["b"], "b"),
        (_config("first"), TOGETHER, ["a", "b", "c"], "c"),
        (_config("first", "best"), PAIRED, ["a", "b", "c"], "c"),
        (_config("first", "a"), TOGETHER, ["a"], "a"),
        (_config("first", "a", loss="cosine"), PAIRED, ["a", "b"], "a"),
        (_config(loss="cosine"), PAIRED, ["b"], None),
        (_config(loss="cosine"), TOGETHER, ["a", "b", "c"], None),
        (_config(loss="cosine"), ALONE, [], None),
    ],
)
def test_teachers_read(run: RunDirectory, config: Config, student: Student, read: list[str], start: str | None) -> None:
    assert teachers_read(config, student) == read
    assert starting_teacher(config, student, run) == start


def test_the_student_waits_for_the_teachers_that_it_reads() -> None:
    needs = {step.name: step.needs for step in plan(_config("first", "best"))}
    assert needs["students/many_on_many/b"] == ("logits/b", "teachers/a", "teachers/b", "teachers/c")
    assert needs["students/plain"] == ("examples",)


def _fingerprints(config: Config) -> dict[str, str]:
    return {step.name: step.fingerprint for step in plan(config)}


@pytest.mark.parametrize(
    ("changed", "redone"),
    [
        (_config(initialise_from="a"), set()),  # of a random start
        (_config(weight=2.0), set()),  # of no loss
        (_config("first"), {"many_on_many/a", "many_on_many/b", "many_on_many/c", "many_on_one", "one_avg_on_one"}),
        (_config(loss="mse"), {"many_on_many/a", "many_on_many/b", "many_on_many/c", "many_on_one", "one_avg_on_one"}),
    ],
)
def test_settings_redo_what_depends_on_them(changed: Config, redone: set[str]) -> None:
    before, after = _fingerprints(_config()), _fingerprints(changed)
    changed_students = {f"students/{name}" for name in redone}
    expected = changed_students | {f"predictions/{name}" for name in changed_students}
    assert {name for name in before if before[name] != after[name]} == expected | ({"evaluation"} if redone else set())


def test_two_ways_to_say_the_same_are_one() -> None:
    assert student_settings(_config("first", "best"), TOGETHER) == student_settings(_config("first"), TOGETHER)
    assert student_settings(_config("first"), PAIRED) == student_settings(_config([0], "b"), PAIRED)
    assert student_settings(_config("first"), PAIRED) != student_settings(_config([1]), PAIRED)


def test_the_first_stage_starts_from_blocks_and_both_imitate() -> None:
    stage1, stage2 = student_jobs(_config([1], loss="mse", weight=0.5), TOGETHER, MANIFEST, RUN, "c")
    assert stage1.blocks is not None
    assert (stage1.blocks.teacher.folder, stage1.blocks.numbers) == ("teachers/c", (1,))
    assert stage1.blocks.teacher.model.config.layers == 2
    assert (stage2.blocks, stage2.initial) == (None, stage1.folder)
    for stage in (stage1, stage2):
        assert stage.hidden is not None
        assert (stage.hidden.loss, stage.hidden.weight) == ("mse", 0.5)
        assert [teacher.folder for teacher in stage.hidden.teachers] == ["teachers/a", "teachers/b", "teachers/c"]


def test_without_stage_1_the_second_starts_from_blocks() -> None:
    config = _config([1])
    distill = config.distill.model_copy(update={"stage1": config.distill.stage1.model_copy(update={"epochs": 0})})
    [stage2] = student_jobs(config.model_copy(update={"distill": distill}), PAIRED, MANIFEST, RUN, "b")
    assert stage2.blocks is not None
    assert stage2.initial is None


@pytest.mark.parametrize(
    ("step", "models"),
    [("students/many_on_one", 3), ("students/many_on_many/a", 1), ("students/plain", 0), ("teachers/a", 0)],
)
def test_models_run_beside_the_student(step: str, models: int) -> None:
    assert len(imitated_in_step(_config(loss="cosine"), step, MANIFEST)) == models
    assert imitated_in_step(_config(), step, MANIFEST) == []


def test_the_plain_student_takes_nothing_over() -> None:
    [job] = student_jobs(_config("first", loss="mse"), ALONE, MANIFEST, RUN)
    assert (job.blocks, job.hidden) == (None, None)
