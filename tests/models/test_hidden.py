"""Hidden states beside the logits: the same logits, states that are pooled, and the attention of the last block."""

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from raykd.config import BiEncoderConfig, BiLSTMConfig, CrossEncoderConfig, MLPConfig, ModelConfig
from raykd.data.encoding import InputSpec
from raykd.models.build import ModelSpec, build
from raykd.models.hidden import HiddenStates
from raykd.models.transformer import TransformerBlock

TOKENS = InputSpec("tokens", length=16, dtype="int32", vocabulary=60)
IDS = np.array([[2, 10, 11, 3, 11, 12, 3, 0], [2, 10, 3, 13, 3, 0, 0, 0]], np.int32)
TEXT: list[tuple[ModelConfig, int]] = [
    (CrossEncoderConfig(type="cross_encoder", layers=2, width=8, heads=2), 8),
    (BiEncoderConfig(type="bi_encoder", layers=2, width=8), 8),
    (BiLSTMConfig(type="bilstm", layers=1, width=4), 8),
]


@pytest.mark.parametrize(("config", "width"), TEXT)
def test_states_of_tokens_beside_the_same_logits(config: ModelConfig, width: int) -> None:
    model = build(ModelSpec(config, TOKENS, classes=3), seed=1)
    wrapped = HiddenStates(model)
    found = wrapped(IDS, training=False)
    np.testing.assert_array_equal(found.logits, model(IDS, training=False))
    np.testing.assert_array_equal(found.mask, IDS != 0)
    assert found.states.shape == (2, 8, width)
    assert wrapped.width == width
    assert found.attention is None


def test_pooled_states_of_a_cross_encoder_are_its_last_vector() -> None:
    model = build(ModelSpec(TEXT[0][0], TOKENS, classes=3), seed=1)
    found = HiddenStates(model)(IDS, training=False)
    head = model.get_layer("heads")
    means = [states[mask].mean(axis=0) for states, mask in zip(found.states.numpy(), IDS != 0, strict=True)]
    vectors = np.concatenate([found.states.numpy()[:, 0], means], axis=1)
    np.testing.assert_allclose(vectors @ head.kernel.numpy() + head.bias.numpy(), found.logits[:, 0], atol=1e-5)


def test_texts_of_a_bi_encoder_have_states_of_their_own_pass() -> None:
    model = build(ModelSpec(TEXT[1][0], TOKENS, classes=3), seed=1)
    states = HiddenStates(model)(IDS, training=False).states.numpy()
    changed = IDS.copy()
    changed[0, 4] = 15  # A word of the passage: the query's states don't know.
    others = HiddenStates(model)(changed, training=False).states.numpy()
    np.testing.assert_array_equal(states[0, :4], others[0, :4])
    assert (np.abs(states[0, 4:7] - others[0, 4:7]).max(axis=-1) > 1e-6).all()


def test_last_vector_of_a_model_of_features() -> None:
    pixels = InputSpec("features", length=4, dtype="float32")
    model = build(ModelSpec(MLPConfig(type="mlp", hidden=[7, 5]), pixels, classes=3), seed=1)
    found = HiddenStates(model)(np.ones((2, 4), np.float32), training=False)
    assert found.states.shape == (2, 1, 5)
    np.testing.assert_array_equal(found.mask, np.ones((2, 1), bool))


def test_attention_is_what_the_last_block_computes_with() -> None:
    model = build(ModelSpec(TEXT[0][0], TOKENS, classes=3), seed=1)
    seen: dict[str, Any] = {}
    *_, block = [layer for layer in model.layers if isinstance(layer, TransformerBlock)]
    found = HiddenStates(model, attention=True)(IDS[:, :7], training=False).attention
    assert found is not None
    query, key, value = (part.numpy()[0] for part in found)
    assert query.shape == (2, 7, 4)
    weights = softmax(query @ key.transpose(0, 2, 1) / 2.0, axis=-1)  # 2: the root of 4.
    expected = (weights @ value).transpose(1, 0, 2).reshape(7, 8)
    seen["out"] = expected @ block.attention_output.kernel.numpy() + block.attention_output.bias.numpy()
    entered = _entering(model, block)
    attended = block._attend(block.attention_norm(entered), np.ones((1, 7), bool))
    np.testing.assert_allclose(attended[0], seen["out"], atol=1e-5)


def _entering(model: Any, block: TransformerBlock) -> Any:
    """The last block's input for the first row."""
    import keras

    return keras.Model(model.input, block.input[0])(IDS[:1, :7], training=False)
