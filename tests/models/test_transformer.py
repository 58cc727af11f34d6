"""Stochastic depth: what training leaves out, how often, and that the default is as if there were none."""

from typing import Any

import numpy as np
import pytest

from raykd.config import CrossEncoderConfig
from raykd.data.encoding import InputSpec
from raykd.models.build import ModelSpec, build
from raykd.models.transformer import TransformerBlock

TOKENS = InputSpec("tokens", length=16, dtype="int32", vocabulary=60)


def _spec(**settings: Any) -> ModelSpec:
    return ModelSpec(CrossEncoderConfig(type="cross_encoder", layers=3, width=8, **settings), TOKENS, classes=2)


def test_rows_skip_each_branch_at_the_rate_asked_for_and_keep_it_louder_elsewhere() -> None:
    block = TransformerBlock(heads=2, skipped=0.25)
    states = np.tile(np.random.default_rng(0).normal(size=(1, 5, 8)).astype(np.float32), (2000, 1, 1))
    mask = np.ones((2000, 5), bool)
    block(states, mask)
    # Without the second branch: what is added is the first one's alone.
    block.contract.kernel.assign(np.zeros((32, 8)))
    added = block(states, mask, training=True).numpy() - states
    kept = np.abs(added).max(axis=(1, 2)) > 0
    assert kept.mean() == pytest.approx(0.75, abs=0.04)  # 4 standard deviations
    whole = block(states, mask, training=False).numpy() - states
    np.testing.assert_allclose(added[kept], whole[kept] / 0.75, rtol=1e-4, atol=1e-7)


def test_chance_rises_evenly_over_the_blocks() -> None:
    model = build(_spec(stochastic_depth=0.3), seed=1)
    chances = [layer.skipped for layer in model.layers if isinstance(layer, TransformerBlock)]
    assert chances == pytest.approx([0.1, 0.2, 0.3])


def test_default_has_no_variables_for_it() -> None:
    without, with_it = build(_spec(dropout=0.1), seed=1), build(_spec(dropout=0.1, stochastic_depth=0.3), seed=1)
    assert len(with_it.weights) == len(without.weights)
    assert len(with_it.variables) == len(without.variables) + 3  # a generator for each block


def test_prediction_takes_every_block_and_training_repeats_with_its_seed() -> None:
    ids = np.array([[2, 10, 11, 3, 11, 12, 3, 0]], np.int32)
    first, again = (build(_spec(dropout=0.0, stochastic_depth=0.9), seed=1) for _ in range(2))
    without = build(_spec(dropout=0.0), seed=1)
    without.set_weights(first.get_weights())
    np.testing.assert_array_equal(first(ids, training=False), without(ids, training=False))
    drawn = [np.concatenate([model(ids, training=True) for _ in range(4)]) for model in (first, again)]
    np.testing.assert_array_equal(*drawn)
    assert len(np.unique(drawn[0].round(5), axis=0)) > 1
