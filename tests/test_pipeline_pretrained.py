"""A whole run with a pretrained teacher, a saved one and a student cut from the preset."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_presets import LONGEST, WORDS, hugging_face_bert

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.data.reader import Reader
from raykd.data.shards import read_manifest
from raykd.errors import InputError
from raykd.loading import parse_config
from raykd.pipeline import run
from raykd.preview import preview
from raykd.train.checkpoint import load_weights

TRAINING = {"epochs": 1, "batch_size": 16, "learning_rate": 0.01, "jit_compile": False}


def _write(folder: Path, split: str, rows: int) -> None:
    """Reviews that are good or bad; the last one's passage is too long."""
    rng = np.random.default_rng([rows, 3])
    labels = np.arange(rows) % 2
    passages = [f"the food is {('bad', 'good')[label]} {' '.join(rng.choice(WORDS[9:13], 2))}" for label in labels]
    passages[-1] += " here" * 20
    columns = {"query": ["is the food good"] * rows, "passage": passages, "label": labels.astype(np.int32)}
    pq.write_table(pa.table(columns), folder / f"{split}.parquet")


def _save_teacher(path: Path, classes: int = 2) -> Any:
    """A model that counts good and bad."""
    import keras

    ids = keras.Input((None,), dtype="int32")
    # The query has a good of its own.
    table = np.zeros((len(WORDS), classes), np.float32)
    table[2, 1], table[3, 0] = 20.0, 40.0
    counts = keras.layers.Embedding(len(WORDS), classes, embeddings_initializer=keras.initializers.Constant(table))(ids)
    mean = keras.layers.GlobalAveragePooling1D()(counts)
    model = keras.Model(ids, keras.layers.Softmax()(mean))
    model.save(path)
    return model


def _config(folder: Path, **data: Any) -> Config:
    preset = str(folder / "preset")
    return parse_config(
        {
            "name": "run",
            "storage_path": str(folder / "runs"),
            "data": {
                "source": str(folder / "data"), "columns": {"text": ["query", "passage"]}, "max_length": 20,
                "bucket": 4, "truncation": "only_second", "streams": 2, **data,
            },
            "teachers": [
                {"name": "bert", "model": {"type": "pretrained", "preset": preset}, "training": TRAINING},
                {
                    "name": "ready",
                    "model": {"type": "saved", "path": str(folder / "ready.keras"), "outputs": "probabilities"},
                    "training": TRAINING,
                },
            ],
            "student": {"model": {"type": "pretrained", "preset": preset, "layers": 1}, "training": TRAINING},
            "distill": {"recipes": ["many_on_one"], "stage1": TRAINING, "stage2": TRAINING},
        }
    )  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Path:
    hugging_face_bert(tmp_path / "preset")
    (tmp_path / "data").mkdir()
    for split, rows in (("train", 64), ("validation", 32), ("test", 48)):
        _write(tmp_path / "data", split, rows)
    return tmp_path


@pytest.mark.slow
def test_a_pretrained_and_a_saved_teacher_and_a_student_of_the_bottom_layer(local_ray: None, job: Path) -> None:
    ready = _save_teacher(job / "ready.keras")
    config = _config(job)
    evaluation = run(config)
    directory = RunDirectory.at(config.storage_path, config.name)
    manifest = read_manifest(directory)
    assert (manifest.inputs.vocabulary, manifest.inputs.cls_id, manifest.inputs.sep_id) == (len(WORDS), 6, 7)
    assert dict(manifest.truncated) == {"train": 1, "validation": 1, "test": 1}
    models = {model["name"]: model for model in evaluation["models"]}
    assert list(models) == ["teacher/bert", "teacher/ready", "teacher_ensemble", "student/many_on_one"]
    assert models["teacher/ready"]["accuracy"] == 1.0
    assert models["teacher/ready"]["parameters"] == 2 * len(WORDS)
    assert evaluation["best_teacher"] == "teacher/ready"
    assert all(model["speedup_ensemble"] > 0 for model in models.values())

    # The ready teacher was not trained: no history, its own weights, and in the store what it says.
    assert directory.names("teachers/ready", ".json") == ["done.json", "settings.json"]
    np.testing.assert_array_equal(load_weights(directory, "teachers/ready")[0], ready.get_weights()[0])
    shards = manifest.of("train")
    for rows in Reader(directory, shards, manifest.inputs, ("logits/ready",)).all():
        width = manifest.inputs.width(int(rows["lengths"].max()))
        expected = np.log(np.clip(ready(rows["inputs"][:, :width]), 1e-6, 1.0))
        np.testing.assert_allclose(rows["teacher_logits"][:, 0], expected, atol=0.02)

    # Three heads of two classes on the preset's embeddings and its bottom layer.
    weights = load_weights(directory, "students/many_on_one")
    assert [value.shape for value in weights[-2:]] == [(32, 6), (6,)]
    assert weights[1].shape == (LONGEST, 16)
    assert len(weights) < len(load_weights(directory, "teachers/bert"))
    assert all(step.done for step in preview(config))


@pytest.mark.slow
def test_a_saved_teacher_of_other_classes_stops_the_run(local_ray: None, job: Path) -> None:
    _save_teacher(job / "ready.keras", classes=3)
    config = _config(job)
    with pytest.raises(InputError, match=r"ready.keras: found 1 input\(s\) and outputs \[\(None, 3\)\]"):
        run(config)
