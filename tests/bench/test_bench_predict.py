"""The measurement of predictions runs on a small finished run and compares what it says it compares."""

from pathlib import Path

import pytest
from tiny_run import tiny_config, write_run

from raykd.bench.predict import measure, summary
from raykd.errors import InputError
from raykd.export.choice import exportable

_STUDENT = {"type": "cross_encoder", "layers": 1, "width": 16}


@pytest.mark.slow
def test_student_stands_beside_its_teachers(tmp_path: Path) -> None:
    config = tiny_config(str(tmp_path), _STUDENT)
    config = config.model_copy(
        update={"distill": config.distill.model_copy(update={"recipes": ["many_on_one", "many_on_many"]})}
    )
    run = write_run(config, [name for name in exportable(config) if not name.startswith("teacher/")])
    shown: list[str] = []
    rates = measure(config, run, "student/many_on_one", 2, lambda case, rate: shown.append(case))
    assert list(rates) == [
        "teacher_ensemble from inputs",
        "teacher_ensemble from texts",
        "student/many_on_one from inputs",
        "student/many_on_one from texts",
        "ensemble/many_on_many from inputs",
        "students one by one",
    ]
    assert len(shown) == 12
    assert all(len(values) == 2 and min(values) > 0 for values in rates.values())
    with pytest.raises(InputError, match=r"found ensemble/many_on_many beside teacher/a, .* expected a student beside"):
        measure(config, run, "ensemble/many_on_many", 1, lambda case, rate: None)


def test_summary_by_hand() -> None:
    rates = {
        "teacher_ensemble from inputs": [10.0, 20.0, 12.0],
        "teacher_ensemble from texts": [6.0],
        "student/s from inputs": [240.0],
        "student/s from texts": [90.0],
        "ensemble/many_on_many from inputs": [95.0],
        "students one by one": [100.0],
    }
    found = summary(rates)
    assert found["student/s from inputs over teacher_ensemble"] == 20.0
    assert found["student/s from texts over teacher_ensemble"] == 15.0
    assert found["ensemble/many_on_many over students one by one"] == 0.95
    assert found["teacher_ensemble from inputs"] == 12.0
