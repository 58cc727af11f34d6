"""Prediction with trained weights, in batches of like length."""

import numpy as np
import pytest

from raykd.config import BiLSTMConfig
from raykd.data.encoding import CLS_ID, SEP_ID, InputSpec
from raykd.models.build import ModelSpec, build
from raykd.train import predict
from raykd.train.checkpoint import values_of
from raykd.train.predict import Predictor, rows_at_once


@pytest.mark.parametrize(
    ("kind", "length", "rows"),
    [("tokens", 64, 256), ("tokens", 1 << 20, 1), ("features", 784, 2048), ("features", 224 * 224 * 3, 27)],
)
def test_a_batch_of_large_rows_has_few_of_them(kind: str, length: int, rows: int) -> None:
    assert rows_at_once(InputSpec(kind, length, "uint8"), length) == rows


def test_rows_of_any_length_get_the_logits_that_they_get_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = InputSpec("tokens", length=24, dtype="int32", vocabulary=50, bucket=8)
    spec = ModelSpec(BiLSTMConfig(type="bilstm", width=4), inputs, classes=3, heads=2)
    predictor = Predictor(spec, values_of(build(spec, seed=1).variables))
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 25, 40)
    rows = np.zeros((40, 24), np.int32)
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = [CLS_ID, *rng.integers(5, 50, length - 2), SEP_ID]
    shapes = []
    whole = predictor.batch
    monkeypatch.setattr(predict, "_TOKENS", 80)
    monkeypatch.setattr(predictor, "batch", lambda batch: shapes.append(batch.shape) or whole(batch))
    logits = predictor.logits({"inputs": rows, "lengths": lengths})
    alone = [whole(row[None, : inputs.width(int(length))])[0] for row, length in zip(rows, lengths, strict=True)]
    np.testing.assert_allclose(logits, alone, rtol=0, atol=1e-5)
    assert max(count * width for count, width in shapes) <= 80
    assert [width for _, width in shapes] == sorted((width for _, width in shapes), reverse=True)
    assert {width for _, width in shapes} == {8, 16, 24}
