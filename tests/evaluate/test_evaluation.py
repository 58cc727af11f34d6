"""Lines of the results and their ratios, where an external teacher takes part."""

from typing import Any

import numpy as np

from raykd.artifacts import EXAMPLES, RunDirectory, external_folder
from raykd.config import Config
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.evaluate.evaluation import best_teacher, compare, entries
from raykd.loading import parse_config


def _config(trained: str, external: str) -> Config:
    return parse_config(
        {
            "data": {"source": "a.parquet", "columns": {"features": "x", "external": {n: f"p_{n}" for n in external}}},
            "teachers": [{"name": name, "model": {"type": "mlp"}} for name in trained],
            "student": {"model": {"type": "mlp"}},
            "distill": {"recipes": ["one_on_one", "many_on_one"]},
        }
    )


def _names(config: Config, best: str, scored: str) -> list[str]:
    return [line.name for line in entries(config, best, list(scored))]


def test_an_external_teacher_has_a_line_where_it_scored_the_test_split() -> None:
    students = ["student/one_on_one", "student/many_on_one"]
    assert _names(_config("a", "x"), "a", "x") == ["teacher/a", "teacher/x", "teacher_ensemble", *students]
    assert _names(_config("a", "x"), "a", "") == ["teacher/a", "teacher_ensemble", *students]
    assert _names(_config("", "x"), "x", "") == students
    ensemble = entries(_config("a", "x"), "a", ["x"])[2]
    assert ensemble.members == ("teachers/a", "logits/x")


def _model(name: str, kind: str, accuracy: float, speed: float | None) -> dict[str, Any]:
    return {"name": name, "kind": kind, "accuracy": accuracy, "examples_per_second": speed}


STUDENT = _model("student/many_on_one", "student", 0.375, 900.0)
RATIOS = ("retention", "retention_ensemble", "speedup", "speedup_ensemble")


def _ratios(*others: dict[str, Any]) -> list[float | None]:
    [*_, student] = compare([*others, STUDENT], "teacher/a")
    return [student[ratio] for ratio in RATIOS]


def test_ratios_are_none_where_a_side_is_unknown() -> None:
    trained = _model("teacher/a", "teacher", 0.5, 300.0)
    outside = _model("teacher/a", "teacher", 0.5, None)
    together = _model("teacher_ensemble", "teacher_ensemble", 0.75, 100.0)
    assert _ratios(trained, together) == [0.75, 0.5, 3.0, 9.0]
    assert _ratios(outside, together) == [0.75, 0.5, None, 9.0]
    assert _ratios(trained, {**together, "examples_per_second": None}) == [0.75, 0.5, 3.0, None]
    assert _ratios({**trained, "accuracy": 0.0}, together) == [None, 0.5, 3.0, 9.0]
    assert _ratios() == [None] * 4
    assert compare([outside, STUDENT], "teacher/a")[0]["speedup"] is None


def test_the_best_of_external_teachers_alone_is_told_by_labelled_validation_rows(run_directory: RunDirectory) -> None:
    ids, labels = np.arange(4), np.array([0, 1, 1, -1], np.int32)
    shard = Shard("validation", 0, 4, hash_ids(ids))
    examples = {"example_id": ids, "label": labels, "inputs": list(np.zeros((4, 2), np.float32))}
    write_table(run_directory, f"{EXAMPLES}/{shard.name}", examples)
    for name, sides in (("x", [1, 1, 1, 0]), ("y", [0, 1, 1, 0])):
        logits = list(np.eye(2, dtype=np.float16)[sides])
        write_table(run_directory, f"{external_folder(name)}/{shard.name}", {"example_id": ids, "logits": logits})
    scored = (("x", ("validation",)), ("y", ("validation",)), ("z", ()))
    Manifest(2, InputSpec("features", 2, "float32"), (shard,), scored).save(run_directory)
    assert best_teacher(_config("", "zxy"), run_directory) == "y"
    Manifest(2, InputSpec("features", 2, "float32"), (shard,), (("z", ()), ("y", ()))).save(run_directory)
    assert best_teacher(_config("", "zy"), run_directory) == "z"
