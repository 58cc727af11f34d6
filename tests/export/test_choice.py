"""Names of what can be exported, and the step in the plan."""

import pytest

from raykd.errors import InputError
from raykd.export.choice import chosen_name, exportable
from raykd.loading import load_config
from raykd.plan import plan


def _name(*overrides: str) -> str:
    return chosen_name(load_config("digits", overrides))


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "student/many_on_one"),
        (["distill.recipes=[plain, many_on_many]"], "ensemble/many_on_many"),
        (["distill.recipes=[many_on_many, one_on_one]"], "student/one_on_one"),
        (["distill.recipes=[noisy_student]", "distill.noisy_student.rounds=3"], "student/noisy_student/round-3"),
        (["export.model=students/many_on_one"], "student/many_on_one"),
        (["export.model=students/many_on_many/conv"], "student/many_on_many/conv"),
        (["export.model=students/many_on_many"], "ensemble/many_on_many"),
        (["export.model=teacher/wide"], "teacher/wide"),
    ],
)
def test_chosen_name(overrides: list[str], name: str) -> None:
    assert _name(*overrides) == name


def test_every_line_of_the_evaluation_can_be_exported() -> None:
    found = exportable(load_config("digits"))
    assert found["teacher_ensemble"] == ("teachers/wide", "teachers/deep", "teachers/conv")
    assert found["ensemble/many_on_many"] == tuple(f"students/many_on_many/{name}" for name in ("wide", "deep", "conv"))
    assert set(found) == {
        "teacher/wide", "teacher/deep", "teacher/conv", "teacher_ensemble", "student/plain", "student/one_on_one",
        "student/one_avg_on_one", "student/many_on_many/wide", "student/many_on_many/deep",
        "student/many_on_many/conv", "ensemble/many_on_many", "student/many_on_one",
    }  # fmt: skip


def test_external_teachers_are_no_models() -> None:
    config = load_config("digits")
    columns = config.data.columns.model_copy(update={"external": {"big": None}})
    found = exportable(config.model_copy(update={"data": config.data.model_copy(update={"columns": columns})}))
    assert "teacher/wide" in found
    assert not {"teacher/big", "teacher_ensemble"} & set(found)


def test_unknown_model_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"export.model: found student/best, expected one of teacher/wide, .*"):
        _name("export.model=student/best")


def _steps(*overrides: str) -> dict[str, str]:
    return {step.name: step.fingerprint for step in plan(load_config("digits", overrides))}


def test_step_is_there_where_formats_are_and_changes_nothing_else() -> None:
    without, one = _steps(), _steps("export.formats=[saved_model]")
    assert one == {**without, "export/student/many_on_one": one["export/student/many_on_one"]}
    other = _steps("export.formats=[saved_model]", "export.licence=mit")
    assert other["export/student/many_on_one"] != one["export/student/many_on_one"]
    assert other["evaluation"] == one["evaluation"]


def test_missing_package_is_found_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r'export.formats: onnx needs the package onnx, .* pip install "raykd\[export\]"'
    ):
        _steps("export.formats=[onnx]")
