"""A whole run over questions with several passages each: ranked, and resampled by question."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from raykd.artifacts import RunDirectory
from raykd.data.reader import Reader
from raykd.data.shards import read_manifest
from raykd.distill.stages import model_spec
from raykd.loading import parse_config
from raykd.pipeline import run
from raykd.train.checkpoint import load_weights
from raykd.train.predict import Predictor, probabilities_of

TRAINING = {"epochs": 8, "batch_size": 32, "learning_rate": 0.02, "jit_compile": False}


@pytest.mark.slow
def test_questions_are_ranked(local_ray: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    labels = (x[:, 0] + 0.5 * rng.normal(size=400) > 0.8).astype(np.int32)
    questions = [f"question {number // 4}" for number in range(400)]
    pq.write_table(pa.table({"x": list(x), "label": labels, "question": questions}), tmp_path / "pairs.parquet")
    config = parse_config(
        {
            "name": "run",
            "storage_path": str(tmp_path / "runs"),
            "data": {"source": str(tmp_path / "pairs.parquet"), "columns": {"features": "x", "group": "question"},
                     "streams": 2},
            "teachers": [{"name": "a", "model": {"type": "mlp", "hidden": [16]}, "training": TRAINING}],
            "student": {"model": {"type": "mlp", "hidden": [4]}, "training": TRAINING},
            "distill": {"stage1": TRAINING, "stage2": TRAINING, "recipes": ["plain", "many_on_one"]},
        }
    )  # fmt: skip
    evaluation = run(config)
    assert (evaluation["rows"], evaluation["groups"]) == (80, 20)
    for model in evaluation["models"]:
        for figure in ("map", "mrr", "auc", "accuracy"):
            low, high = model[f"{figure}_ci95"]
            assert low <= model[figure] <= high

    directory = RunDirectory.at(config.storage_path, config.name)
    manifest = read_manifest(directory)
    shards = list(Reader(directory, manifest.of("test"), manifest.inputs).all())
    rows = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    predictor = Predictor(model_spec(config.teachers[0].model, manifest), load_weights(directory, "teachers/a"))
    scores = probabilities_of(predictor.logits(rows))[:, 1]
    own = [rows["group"] == group for group in np.unique(rows["group"])]
    expected = [average_precision_score(rows["label"][of], scores[of]) for of in own if rows["label"][of].any()]
    assert evaluation["models"][0]["map"] == pytest.approx(np.mean(expected))
    page = Path(directory.path("report.html")).read_text()
    assert "a bootstrap over whole groups of rows" in page
    assert "20 in the test split; intervals resample whole groups" in page
