"""A student learns a class without seeing an example, from the teacher's logits (Hinton et al. 2015, section 3)."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from raykd.artifacts import EXAMPLES, RunDirectory, logits_folder, teacher_folder
from raykd.config import DataConfig, MLPConfig, ScalingConfig, TrainingConfig
from raykd.data.encoding import InputSpec
from raykd.data.reader import Reader
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.distill.logits import score
from raykd.losses import Objective
from raykd.models.build import ModelSpec
from raykd.train.checkpoint import load_weights
from raykd.train.job import TrainJob
from raykd.train.launch import launch
from raykd.train.predict import Predictor

OMITTED = 3
SPLITS = {"train": 1000, "validation": 300, "test": 497}
INPUTS = InputSpec("features", length=64, dtype="float32")
DATA = DataConfig(source="digits", streams=2, read_tasks=0)
LOGITS = logits_folder("a")

Arrays = dict[str, Any]


def _ignore(event: dict[str, Any]) -> None:
    """Take no notice of progress."""


def _write(run: RunDirectory, split: str, index: int, rows: Arrays) -> Shard:
    shard = Shard(split, index, len(rows["example_id"]), hash_ids(rows["example_id"]))
    columns = {name: list(rows[name]) if name == "inputs" else rows[name] for name in ("example_id", "label", "inputs")}
    write_table(run, f"{EXAMPLES}/{shard.name}", columns)
    if "teacher_logits" in rows:
        logits = {"example_id": rows["example_id"], "logits": list(rows["teacher_logits"][:, 0])}
        write_table(run, f"{LOGITS}/{shard.name}", logits)
    return shard


def _write_digits(run: RunDirectory) -> Manifest:
    pixels, labels = load_digits(return_X_y=True)
    ids = np.random.default_rng(0).permutation(len(labels))
    shards = []
    for split, part in zip(SPLITS, np.split(ids, np.cumsum(list(SPLITS.values()))[:-1]), strict=True):
        for index, own in enumerate(np.array_split(part, 2)):
            rows = {"example_id": own, "label": labels[own].astype(np.int32),
                    "inputs": (pixels[own] / 16).astype(np.float32)}  # fmt: skip
            shards.append(_write(run, split, index, rows))
    manifest = Manifest(10, INPUTS, tuple(shards))
    manifest.save(run)
    return manifest


def _write_without_a_class(run: RunDirectory, whole: RunDirectory, manifest: Manifest) -> None:
    """The training rows of other classes with their logits, and all of the validation rows."""
    shards = []
    for split, logits in (("train", (LOGITS,)), ("validation", ())):
        for index, rows in enumerate(Reader(whole, manifest.of(split), INPUTS, logits).all()):
            kept = rows["label"] != OMITTED if split == "train" else np.full(len(rows["label"]), True)
            shards.append(_write(run, split, index, {name: values[kept] for name, values in rows.items()}))
    Manifest(10, INPUTS, tuple(shards)).save(run)


def _job(folder: str, hidden: list[int], epochs: int, rate: float, **changes: Any) -> TrainJob:
    model = ModelSpec(MLPConfig(type="mlp", hidden=hidden), INPUTS, classes=10)
    training = TrainingConfig(epochs=epochs, batch_size=32, learning_rate=rate, patience=epochs, jit_compile=False)
    usual = {"alpha": 0.0, "temperature": 20.0, "objective": Objective(), "keep_best": False}
    return TrainJob(folder, model, training, seed=1, splits=("train",), data=DATA, **{**usual, **changes})


@pytest.fixture(scope="module")
def predicted(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Arrays, Arrays]]:
    """Validation and test rows with the `logits` of each student; neither has seen an example of the class."""
    runs = str(tmp_path_factory.mktemp("omitted"))
    whole, part = (RunDirectory.at(runs, name) for name in ("whole", "part"))
    manifest = _write_digits(whole)
    teacher = _job(teacher_folder("a"), [256, 256], 10, 3e-3)
    launch(teacher, whole, _ignore, ScalingConfig())
    score("a", teacher.folder, teacher.model, whole, _ignore)
    _write_without_a_class(part, whole, manifest)
    students = [
        _job("hard", [64], 15, 5e-3),
        _job("stage1", [64], 30, 5e-3, alpha=1.0, logits=(LOGITS,)),
        _job("distilled", [64], 10, 1e-3, alpha=0.9, logits=(LOGITS,), initial="stage1"),
    ]
    found = {}
    for job in students:
        launch(job, part, _ignore, ScalingConfig())
        predictor = Predictor(job.model, load_weights(part, job.folder))
        found[job.folder] = tuple(_predicted(predictor, whole, manifest, split) for split in ("validation", "test"))
    return found


def _predicted(predictor: Predictor, run: RunDirectory, manifest: Manifest, split: str) -> Arrays:
    shards = list(Reader(run, manifest.of(split), INPUTS).all())
    rows = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    return {"label": rows["label"], "logits": predictor.logits(rows)[:, 0]}


def _named(rows: Arrays, bias: float = 0.0) -> Any:
    """The predicted classes, with the omitted one's logits raised."""
    return (rows["logits"] + bias * (np.arange(10) == OMITTED)).argmax(axis=1)


def _share_right(rows: Arrays, bias: float, own: bool) -> float:
    """Of the test rows of the omitted class, or of all others."""
    chosen = (rows["label"] == OMITTED) == own
    return float((_named(rows, bias) == rows["label"])[chosen].mean())


def test_hard_labels_never_teach_a_class_without_examples(predicted: dict[str, tuple[Arrays, Arrays]]) -> None:
    _, test = predicted["hard"]
    assert _share_right(test, 0.0, own=False) > 0.9
    assert not (_named(test) == OMITTED).any()


def test_logits_teach_most_of_a_class_without_examples(predicted: dict[str, tuple[Arrays, Arrays]]) -> None:
    validation, test = predicted["distilled"]
    # As in the paper, the class's bias is too low: nothing in the transfer set is ever likely to be of it.
    biases = np.linspace(0.0, 20.0, 81)
    right = [(_named(validation, bias) == validation["label"]).mean() for bias in biases]
    bias = float(biases[np.argmax(right)])
    assert _share_right(test, bias, own=True) > 0.8
    assert _share_right(test, bias, own=False) > 0.9
