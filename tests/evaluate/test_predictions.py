"""Predictions of trained models beside the examples: written once, by shard, and read back by the evaluation."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.data.encoding import InputSpec
from raykd.data.reader import Reader
from raykd.data.shards import Manifest, Shard, hash_ids, read_manifest, write_table
from raykd.errors import InputError
from raykd.evaluate.evaluation import spec_of
from raykd.evaluate.predictions import predict, predictions
from raykd.models.build import ModelSpec, build
from raykd.train.checkpoint import load_weights, save_weights, values_of
from raykd.train.predict import Predictor, probabilities_of

FOLDER = "students/plain"
ROWS = {"validation": [3, 5], "test": [4, 6, 2]}


@pytest.fixture
def spec(run_directory: RunDirectory) -> ModelSpec:
    """A small student whose weights and rows are there."""
    rng = np.random.default_rng(0)
    inputs = InputSpec("features", 4, "float32")
    shards = []
    for split, sizes in ROWS.items():
        for index, rows in enumerate(sizes):
            ids = 1000 * len(shards) + np.arange(rows)
            shards.append(Shard(split, index, rows, hash_ids(ids)))
            columns = {"example_id": ids, "label": np.zeros(rows, np.int32)}
            features = list(rng.normal(size=(rows, 4)).astype(np.float32))
            write_table(run_directory, f"examples/{shards[-1].name}", {**columns, "inputs": features})
    Manifest(3, inputs, tuple(shards)).save(run_directory)
    found = ModelSpec(Config.model_validate(_CONFIG).student.model, inputs, 3)
    save_weights(run_directory, FOLDER, values_of(build(found, seed=7).variables))
    return found


_CONFIG = {
    "data": {"source": "a.parquet", "columns": {"features": "x"}},
    "teachers": [{"name": "a", "model": {"type": "mlp", "hidden": [8]}}],
    "student": {"model": {"type": "mlp", "hidden": [8]}},
}


def _predict(run: RunDirectory, spec: ModelSpec, folder: str = FOLDER, part: tuple[int, int] = (0, 1)) -> Any:
    return predict(folder, spec, run, lambda event: None, part)["rows"]


def test_what_is_missing_is_predicted_in_parts_and_read_back_in_order(
    run_directory: RunDirectory, spec: ModelSpec
) -> None:
    assert [_predict(run_directory, spec, part=(number, 2)) for number in (0, 1)] == [3 + 4 + 2, 5 + 6]
    assert _predict(run_directory, spec) == 0
    run_directory.delete(f"predictions/{FOLDER}/test/part-00001.parquet")
    assert _predict(run_directory, spec) == 6
    manifest = read_manifest(run_directory)
    predictor = Predictor(spec, load_weights(run_directory, FOLDER))
    for split in ROWS:
        rows = Reader(run_directory, manifest.of(split), manifest.inputs).all()
        expected = np.concatenate([probabilities_of(predictor.logits(part)) for part in rows])
        found = predictions(FOLDER, split, run_directory, manifest)
        assert found == pytest.approx(expected, abs=1e-6)
        assert found.sum(axis=1) == pytest.approx(1.0)


def test_teachers_predict_no_validation_rows(run_directory: RunDirectory, spec: ModelSpec) -> None:
    save_weights(run_directory, "teachers/a", load_weights(run_directory, FOLDER))
    assert _predict(run_directory, spec, "teachers/a") == sum(ROWS["test"])


def test_predictions_of_other_rows_are_refused(run_directory: RunDirectory, spec: ModelSpec) -> None:
    _predict(run_directory, spec)
    first, second = (run_directory.path(f"predictions/{FOLDER}/test/part-0000{part}.parquet") for part in (0, 1))
    pq.write_table(pq.read_table(second), first)
    with pytest.raises(InputError, match=r"predictions/students/plain/test/part-00000.*: found rows of ids"):
        predictions(FOLDER, "test", run_directory, read_manifest(run_directory))


def test_a_finished_run_holds_each_models_predictions(
    digits_config: Config, digits_run: tuple[RunDirectory, dict[str, Any]]
) -> None:
    run, evaluation = digits_run
    manifest = read_manifest(run)
    labels = np.concatenate([part["label"] for part in Reader(run, manifest.of("test"), manifest.inputs).all()])
    for name, folder in (("teacher/deep", "teachers/deep"), ("student/many_on_one", "students/many_on_one")):
        [model] = [model for model in evaluation["models"] if model["name"] == name]
        found = predictions(folder, "test", run, manifest).argmax(axis=1)
        assert (found == labels).mean() == pytest.approx(model["accuracy"])
        assert spec_of(digits_config, folder, manifest).classes == 10
