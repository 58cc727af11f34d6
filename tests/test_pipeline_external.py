"""Whole runs with an external teacher: alone, without labels, and beside a trained one."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.data.shards import read_manifest
from raykd.errors import InputError
from raykd.loading import parse_config
from raykd.pipeline import run
from raykd.preview import preview
from raykd.train.checkpoint import load_weights

TRAINING = {"epochs": 12, "batch_size": 32, "learning_rate": 0.02, "jit_compile": False, "patience": 12}


def _write(folder: Path, split: str, rows: int, *, labels: bool, scores: bool) -> None:
    """Rows of two classes that a plane divides; scores rise with the distance to it."""
    rng = np.random.default_rng([rows, 7])
    x = rng.normal(size=(rows, 6)).astype(np.float32)
    margin = x @ np.array([1.0, -1.0, 0.5, 2.0, 0.0, -0.5])
    columns: dict[str, Any] = {"x": list(x)}
    columns |= {"label": (margin > 0).astype(np.int32)} if labels else {}
    columns |= {"p": (1 / (1 + np.exp(-2 * margin))).astype(np.float32)} if scores else {}
    pq.write_table(pa.table(columns), folder / f"{split}.parquet")


def _config(folder: Path, teachers: str, **distill: Any) -> Config:
    return parse_config(
        {
            "name": "run",
            "storage_path": str(folder / "runs"),
            "data": {"source": str(folder), "columns": {"features": "x", "external": {"web": "p"}}, "streams": 2},
            "teachers": [{"name": n, "model": {"type": "mlp", "hidden": [16]}, "training": TRAINING} for n in teachers],
            "student": {"model": {"type": "mlp", "hidden": [4]}, "training": TRAINING},
            "distill": {"stage1": {**TRAINING, "epochs": 1}, "stage2": TRAINING, **distill},
        }
    )


def _models(evaluation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in evaluation["models"]}


@pytest.mark.slow
def test_an_external_teacher_alone_without_labels(local_ray: None, tmp_path: Path) -> None:
    for split, rows, labels in (("train", 160, False), ("validation", 64, False), ("test", 200, True)):
        _write(tmp_path, split, rows, labels=labels, scores=not labels)
    config = _config(tmp_path, "", recipes=["plain", "one_on_one", "many_on_one"])
    evaluation = run(config)
    directory = RunDirectory.at(config.storage_path, config.name)
    assert read_manifest(directory).scored_only == ("train", "validation")
    models = _models(evaluation)
    assert list(models) == ["student/plain", "student/one_on_one", "student/many_on_one"]
    assert min(model["accuracy"] for model in models.values()) > 0.85
    for model in models.values():
        for figure in ("agreement", "retention", "retention_ensemble", "speedup", "speedup_ensemble"):
            assert model[figure] is None
        assert model["examples_per_second"] > 0
    assert evaluation["best_teacher"] == "teacher/web"
    assert evaluation["learned_from"] == "external teachers"
    # One teacher: both learn from it through one head, from weights of their own.
    assert load_weights(directory, "students/many_on_one")[-1].shape == (2,)
    page = Path(directory.path("report.html")).read_text()
    assert "teacher/web has not scored that split" in page
    assert "which learned from external teachers alone" in page
    assert all(step.done for step in preview(config))
    assert run(config) == evaluation


@pytest.mark.slow
def test_a_pool_that_the_external_teacher_has_not_scored_is_for_the_trained_ones(
    local_ray: None, tmp_path: Path
) -> None:
    for split, rows, labels in (("train", 160, False), ("validation", 64, False), ("test", 200, True)):
        _write(tmp_path, split, rows, labels=labels, scores=not labels)
    rng = np.random.default_rng(3)
    unscored = {"x": list(rng.normal(size=(96, 6)).astype(np.float32)), "p": pa.array([None] * 96, pa.float32())}
    pq.write_table(pa.table(unscored), tmp_path / "unlabelled.parquet")
    with pytest.raises(
        InputError, match=r"web has no score for the 96 rows of the unlabelled split.*distill\.external: false"
    ):
        run(_config(tmp_path, "a", recipes=["many_on_one"]))
    config = _config(tmp_path, "a", recipes=["many_on_one"], external=False)
    models = _models(run(config))
    assert models["student/many_on_one"]["accuracy"] > 0.85
    history = RunDirectory.at(config.storage_path, config.name).read_json("students/many_on_one/stage1/history.json")
    assert history[0]["step"] == (160 + 96) // 32


@pytest.mark.slow
def test_an_external_teacher_beside_a_trained_one(local_ray: None, tmp_path: Path) -> None:
    for split, rows in (("train", 160), ("validation", 64), ("test", 200)):
        _write(tmp_path, split, rows, labels=True, scores=True)
    evaluation = run(_config(tmp_path, "a"))
    models = _models(evaluation)
    assert list(models) == [
        "teacher/a",
        "teacher/web",
        "teacher_ensemble",
        "student/plain",
        "student/one_on_one",
        "student/one_avg_on_one",
        "student/many_on_many/a",
        "student/many_on_many/web",
        "ensemble/many_on_many",
        "student/many_on_one",
    ]
    assert models["teacher/web"]["accuracy"] == 1.0
    assert models["teacher/web"]["parameters"] is None
    assert models["teacher/web"]["speedup"] is None
    assert models["teacher/web"]["retention"] == 1.0 / models["teacher/a"]["accuracy"]
    assert models["teacher_ensemble"]["parameters"] == models["teacher/a"]["parameters"]
    assert models["student/many_on_one"]["speedup"] > 0
    assert evaluation["learned_from"] == "labels"
    directory = RunDirectory.at(str(tmp_path / "runs"), "run")
    assert load_weights(directory, "students/many_on_one")[-1].shape == (6,)  # golden, a, web
    for teacher in ("a", "web"):
        assert directory.names(f"logits/{teacher}/train", ".parquet") == directory.names("examples/train", ".parquet")
