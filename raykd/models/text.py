"""Bodies that read token ids: cross-encoder, bi-encoder and BiLSTM.

Axes: B batch, L length, W width.
"""

from typing import Any

import keras
from keras import ops

from raykd.config import BiEncoderConfig, BiLSTMConfig, CrossEncoderConfig
from raykd.data.encoding import PAD_ID, SEP_ID, InputSpec
from raykd.models.transformer import MASKED, TextEmbedding, TransformerBlock, encode, segments


@keras.saving.register_keras_serializable(package="raykd")
class TokenMask(keras.layers.Layer):
    """True where an id is of text `segment`, or of either text where `segment` is None; bool [B, L]."""

    def __init__(self, segment: int | None = None, pad_id: int = PAD_ID, sep_id: int = SEP_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segment, self.pad_id, self.sep_id = segment, pad_id, sep_id

    def call(self, ids_BL: Any) -> Any:
        """Mark."""
        if self.segment is None:
            return ops.not_equal(ids_BL, self.pad_id)
        return ops.equal(segments(ids_BL, self.pad_id, self.sep_id), self.segment)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        own = {name: getattr(self, name) for name in ("segment", "pad_id", "sep_id")}
        return {**super().get_config(), **own}


def token_mask(inputs: InputSpec, segment: int | None = None) -> TokenMask:
    """A `TokenMask` for these inputs."""
    return TokenMask(segment, inputs.pad_id, inputs.sep_id)


def _embedding(inputs: InputSpec, width: int, *, mark_matches: bool = True) -> TextEmbedding:
    return TextEmbedding(inputs.vocabulary, inputs.length, width, mark_matches, inputs.no_words)


@keras.saving.register_keras_serializable(package="raykd")
class MaskedPool(keras.layers.Layer):
    """Mean or maximum over the positions that a mask marks: [B, L, W], bool [B, L] -> [B, W]."""

    def __init__(self, how: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.how = how
        self.supports_masking = True  # It reads the mask that it is given.

    def call(self, states_BLW: Any, mask_BL: Any) -> Any:
        """Pool."""
        mask_BL1 = mask_BL[:, :, None]
        if self.how == "max":
            largest_BW = ops.max(ops.where(mask_BL1, states_BLW, MASKED), axis=1)
            return ops.where(ops.any(mask_BL1, axis=1), largest_BW, 0.0)  # A row of padding has no position.
        weights = ops.cast(mask_BL1, states_BLW.dtype)
        return ops.sum(states_BLW * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)

    def compute_mask(self, states_BLW: Any, previous_mask: Any) -> None:
        """No position is left that a mask could mark."""

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "how": self.how}


def cross_encoder(config: CrossEncoderConfig, inputs: InputSpec) -> keras.Model:
    """Ids [B, L] -> state of [CLS] beside the mean of all states, [B, 2 * width]."""
    ids = keras.Input((None,), dtype="int32", name="inputs")
    mask = token_mask(inputs)(ids)
    embedding = _embedding(inputs, config.width)
    skipped = [config.stochastic_depth * layer / config.layers for layer in range(1, config.layers + 1)]
    blocks = [TransformerBlock(config.attention_heads, config.dropout, chance) for chance in skipped]
    states = encode(ids, embedding, blocks, mask)
    pooled = keras.layers.Concatenate()([states[:, 0], MaskedPool("mean")(states, mask)])
    return keras.Model(ids, pooled)


def bi_encoder(config: BiEncoderConfig, inputs: InputSpec) -> keras.Model:
    """Ids [B, L] -> the two texts' means u and v, encoded apart, as [u, v, |u - v|, u * v], [B, 4 * width]."""
    ids = keras.Input((None,), dtype="int32", name="inputs")
    embedding = _embedding(inputs, config.width, mark_matches=False)
    blocks = [TransformerBlock(config.attention_heads, config.dropout) for _ in range(config.layers)]
    states = embedding(ids)
    masks = [token_mask(inputs, segment)(ids) for segment in (0, 1)]
    means = []
    for mask in masks:
        own = states
        for block in blocks:
            own = block(own, mask)
        means.append(MaskedPool("mean")(own, mask))
    query, passage = means
    compared = [query, passage, ops.absolute(query - passage), query * passage]
    return keras.Model(ids, keras.layers.Concatenate()(compared))


def bilstm(config: BiLSTMConfig, inputs: InputSpec) -> keras.Model:
    """Ids [B, L] -> maximum over positions of a bidirectional LSTM's states, [B, 2 * width]."""
    ids = keras.Input((None,), dtype="int32", name="inputs")
    mask = token_mask(inputs)(ids)
    states = _embedding(inputs, config.width)(ids)
    for _ in range(config.layers):
        # cuDNN's kernels, which Keras takes on an accelerator, are unknown to XLA, and refuse rows of padding alone.
        cell = keras.layers.LSTM(config.width, return_sequences=True, dropout=config.dropout, use_cudnn=False)
        states = keras.layers.Bidirectional(cell)(states, mask=mask)
    return keras.Model(ids, MaskedPool("max")(states, mask))
