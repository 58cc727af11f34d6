import pytest

from raykd.artifacts import RunDirectory
from raykd.schedule import Step, covered_seconds, needed, phases, ready, unfinished


def step(name, *needs):
    return Step(name, f"settings of {name}", lambda run, report: {}, needs)


# Two lanes of a teacher and its logits, a student of both, and the evaluation.
STEPS = (
    step("examples"),
    step("teacher/a", "examples"),
    step("teacher/b", "examples"),
    step("logits/a", "teacher/a"),
    step("logits/b", "teacher/b"),
    step("student", "logits/a", "logits/b"),
    step("evaluation", "student", "teacher/a"),
)


@pytest.mark.parametrize(
    ("done", "running", "expected"),
    [
        ("", "", "examples"),
        ("", "examples", ""),
        ("examples", "", "teacher/a teacher/b"),
        ("examples", "teacher/a", "teacher/b"),
        ("examples", "teacher/a teacher/b", ""),
        ("examples teacher/b", "teacher/a", "logits/b"),
        ("examples teacher/a teacher/b logits/b", "", "logits/a"),
        ("examples teacher/a teacher/b logits/b", "logits/a", ""),
        ("examples teacher/a teacher/b logits/a logits/b", "", "student"),
        # A need counts where it is done, even though its own needs are not.
        ("teacher/a teacher/b", "", "examples logits/a logits/b"),
        ("examples teacher/a teacher/b logits/a logits/b student evaluation", "", ""),
    ],
)
def test_ready_steps_in_order_of_priority(done, running, expected):
    assert [step.name for step in ready(STEPS, done.split(), running.split())] == expected.split()


def test_steps_run_one_by_one_all_come_to_an_end():
    done = []
    while starting := ready(STEPS, done, ()):
        assert set(starting[0].needs) <= set(done)
        done.append(starting[0].name)
    assert sorted(done) == sorted(step.name for step in STEPS)


def test_unfinished_steps_are_those_missing_begun_or_of_other_settings(tmp_path):
    run = RunDirectory.at(str(tmp_path), "run")
    run.finish("examples", "settings of examples")
    run.finish("teacher/a", "other settings")
    run.begin("teacher/b", "settings of teacher/b")
    run.finish("logits/b", "settings of logits/b")
    expected = ["teacher/a", "teacher/b", "logits/a", "student", "evaluation"]
    assert [step.name for step in unfinished(STEPS, run)] == expected


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([], 0),
        ([(2, 5)], 3),
        ([(2, 2)], 0),
        ([(0, 1), (3, 5)], 3),  # apart
        ([(0, 2), (2, 5)], 5),  # touching
        ([(0, 3), (2, 5)], 5),  # overlapping
        ([(0, 9), (2, 5)], 9),  # nested
        ([(0, 9), (2, 5), (6, 12)], 12),  # nested, then reaching beyond the outer one
        ([(1, 4), (1, 4), (1, 2)], 3),  # equal
        ([(6, 7), (0, 2), (1, 3)], 4),  # unsorted
        ([(-3, -1), (0, 0.5)], 2.5),
    ],
)
def test_covered_seconds(intervals, expected):
    assert covered_seconds(intervals) == expected


def alone(name, *needs):
    return Step(name, f"settings of {name}", lambda run, report: {}, needs, alone=True)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], []),
        ([step("teacher"), step("logits", "teacher")], ["teacher logits"]),
        ([alone("examples"), step("teacher", "examples")], ["examples", "teacher"]),
        (
            [alone("examples"), step("teacher", "examples"), alone("sweep", "teacher"), step("student", "sweep"),
             step("plain", "examples"), step("evaluation", "student", "plain")],
            ["examples", "teacher plain", "sweep", "student evaluation"],
        ),
        ([alone("sweep"), step("student", "sweep")], ["sweep", "student"]),
        ([step("plain"), alone("sweep")], ["plain", "sweep"]),
    ],
)  # fmt: skip
def test_phases(steps, expected):
    assert [" ".join(step.name for step in phase) for phase in phases(steps)] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logits/b", "examples teacher/b logits/b"),
        ("examples", "examples"),
        ("evaluation", "examples teacher/a teacher/b logits/a logits/b student evaluation"),
    ],
)
def test_needed_steps(name, expected):
    assert " ".join(step.name for step in needed(STEPS, name)) == expected
