"""Validation against labels, and against external teachers where a row has none."""

from dataclasses import replace

import numpy as np
import pytest
from small import small_job

from raykd.artifacts import EXAMPLES, RunDirectory, external_folder
from raykd.data import portions
from raykd.data.reader import Reader
from raykd.data.shards import Manifest, write_table
from raykd.models.build import build
from raykd.train.checkpoint import Values, values_of
from raykd.train.predict import Predictor, probabilities_of
from raykd.train.strategy import Place, strategy_named
from raykd.train.validation import Validation


def _rewritten(run: RunDirectory, manifest: Manifest, known: int) -> tuple[Manifest, np.ndarray, np.ndarray]:
    """The first `known` of 40 validation rows keep their label; the logits of two external teachers for all."""
    reader = Reader(run, manifest.of("validation"), manifest.inputs)
    logits_NBC = np.random.default_rng(3).normal(size=(2, 40, 2)).astype(np.float16)
    labels, start = [], 0
    for shard, arrays in zip(reader.shards, list(reader.all()), strict=True):
        rows = slice(start, start + shard.rows)
        labels.append(np.where(np.arange(start, rows.stop) < known, arrays["label"], -1).astype(np.int32))
        columns = {"example_id": arrays["example_id"], "label": labels[-1], "inputs": list(arrays["inputs"])}
        write_table(run, f"{EXAMPLES}/{shard.name}", columns)
        for name, logits_BC in zip("xy", logits_NBC, strict=True):
            stored = {"example_id": arrays["example_id"], "logits": list(logits_BC[rows])}
            write_table(run, f"{external_folder(name)}/{shard.name}", stored)
        start = rows.stop
    external = (("x", ("validation",)), ("y", ("validation",)))
    scored_only = () if known == 40 else ("validation",)
    return replace(manifest, external=external, scored_only=scored_only), np.concatenate(labels), logits_NBC


def _weights() -> Values:
    return values_of(build(small_job("a").model, seed=1).variables)


@pytest.mark.parametrize(("known", "kept"), [(0, 1 << 20), (15, 1 << 20), (40, 1 << 20), (15, 0)])
def test_rows_without_a_label_are_measured_against_the_mean_of_the_external_teachers(
    run_directory: RunDirectory, manifest: Manifest, known: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "_KEPT_BYTES", kept)
    changed, labels_B, logits_NBC = _rewritten(run_directory, manifest, known)
    job, weights = small_job("a"), _weights()
    found = Validation(job, run_directory, changed, Place(strategy_named("one_device"))).measure(weights)

    rows = list(Reader(run_directory, changed.of("validation"), changed.inputs).all())
    predictor = Predictor(job.model, weights)
    predicted_BC = np.concatenate([probabilities_of(predictor.logits(arrays)) for arrays in rows])
    powers_NBC = np.exp(logits_NBC.astype(np.float64))
    mean_BC = (powers_NBC / powers_NBC.sum(axis=2, keepdims=True)).mean(axis=0)
    target_BC = np.where(labels_B[:, None] >= 0, np.eye(2)[labels_B], mean_BC)
    expected = -(target_BC * np.log(predicted_BC)).sum() / 40
    assert found["validation_loss"] == pytest.approx(expected, rel=1e-6)
    assert found["validation_accuracy"] == (predicted_BC.argmax(axis=1) == target_BC.argmax(axis=1)).mean()
