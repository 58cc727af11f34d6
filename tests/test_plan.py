"""Parts of the job: which steps a command does."""

import runpy
import sys
from pathlib import Path

import pytest

import raykd.cli
from raykd.loading import load_config
from raykd.plan import plan, plan_of

JOBS = Path(__file__).parent.parent / "jobs"
TEACHERS = ["teachers/wide", "teachers/deep", "teachers/conv"]
LOGITS = ["logits/wide", "logits/deep", "logits/conv"]


def _names(part: str, *overrides: str) -> list[str]:
    return [step.name for step in plan_of(load_config("digits", overrides), part)]


def test_a_part_has_its_own_steps_and_those_that_they_need() -> None:
    assert _names("teachers") == ["examples", *TEACHERS]
    assert _names("logits") == ["examples", *TEACHERS, *LOGITS]
    assert _names("sweep", "sweep.enabled=true") == ["examples", *TEACHERS, *LOGITS, "sweep"]
    whole = [step.name for step in plan(load_config("digits"))]
    predictions = [name for name in whole if name.startswith("predictions/")]
    assert _names("students") == whole[: -len(predictions) - 1]
    models = [name for name in whole if name.startswith(("teachers/", "students/"))]
    assert predictions == [f"predictions/{name}" for name in models]
    assert _names("evaluation") == whole


def test_students_come_with_the_sweep_and_the_rounds_that_are_asked_for() -> None:
    assert "sweep" in _names("students", "sweep.enabled=true")
    assert "sweep" not in _names("logits", "sweep.enabled=true")
    rounds = ["distill.recipes=[plain, noisy_student]", "distill.noisy_student.rounds=2"]
    assert _names("logits", *rounds) == ["examples", *TEACHERS, *LOGITS]
    students = _names("students", *rounds)
    assert [name for name in students if "noisy_student" in name and name.startswith("students/")]


@pytest.mark.parametrize(
    ("script", "command"),
    [("tmkd", "run"), *((name, name) for name in ("teachers", "score", "sweep", "distill", "evaluate", "export"))],
)
def test_a_job_is_its_command_with_the_same_arguments(
    script: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(raykd.cli, "app", lambda standalone_mode: called.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", ["job", "mine.yaml", "--name", "x"])
    runpy.run_path(str(JOBS / f"{script}.py"), run_name="__main__")
    assert called == [[command, "mine.yaml", "--name", "x"]]


def test_there_is_a_job_for_every_step_that_is_a_command() -> None:
    commands = {entry.name or entry.callback.__name__ for entry in raykd.cli.app.registered_commands if entry.callback}
    assert {path.stem for path in JOBS.glob("*.py")} - {"tmkd"} <= commands
