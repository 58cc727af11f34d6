"""Logits of very many classes: what a row says of the classes kept, and of the others together."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import softmax

from raykd.data.largest import DENSE_CLASSES, KEPT, column_of, columns_of, dtype, spread, width
from raykd.train.batches import spread as spread_in_a_step

CLASSES = 3000


def _logits(classes: int, rows: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 4, size=(rows, classes)).astype(np.float32)


def _packed(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    column = column_of(pa.table(columns_of(logits))).combine_chunks()
    packed: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(logits), -1)
    return packed


@pytest.mark.parametrize("classes", [2, DENSE_CLASSES])
def test_so_many_classes_are_kept_whole(classes: int) -> None:
    logits = _logits(classes)
    assert list(columns_of(logits)) == ["logits"]
    packed = _packed(logits)
    assert (packed.shape[1], packed.dtype) == (width(classes), dtype(classes))
    np.testing.assert_array_equal(spread(packed, classes), logits.astype(np.float16))


def test_the_largest_keep_their_probabilities_and_the_others_theirs_together() -> None:
    logits = _logits(CLASSES)
    packed = _packed(logits)
    assert (packed.shape[1], packed.dtype) == (width(CLASSES), dtype(CLASSES))
    found, true = (softmax(one.astype(np.float64), axis=1) for one in (spread(packed, CLASSES), logits))
    largest = np.argsort(logits, axis=1)[:, -KEPT:]
    kept = [np.take_along_axis(one, largest, axis=1) for one in (found, true)]
    np.testing.assert_allclose(kept[0], kept[1], rtol=0.02)  # float16 rounds a logit of 15 by up to 0.004.
    np.testing.assert_allclose(1 - kept[0].sum(axis=1), 1 - kept[1].sum(axis=1), rtol=0.02)
    assert (found.argmax(axis=1) == true.argmax(axis=1)).all()


def test_others_count_for_no_less_at_a_higher_temperature() -> None:
    logits = _logits(CLASSES)
    found, true = (softmax(one.astype(np.float64) / 4, axis=1) for one in (spread(_packed(logits), CLASSES), logits))
    largest = np.argsort(logits, axis=1)[:, -KEPT:]
    kept = [np.take_along_axis(one, largest, axis=1).sum(axis=1) for one in (found, true)]
    assert (kept[0] <= kept[1]).all()


def test_a_step_spreads_as_numpy_does() -> None:
    packed = np.stack([_packed(_logits(CLASSES)), _packed(-_logits(CLASSES))], axis=1)
    compiled = tf.function(lambda values: spread_in_a_step(values, CLASSES), jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(packed)).numpy(), spread(packed, CLASSES).astype(np.float32))
