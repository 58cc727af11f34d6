"""Pre-norm transformer blocks and the embedding of an encoded text or pair.

Axes: B batch, L length, W width, H heads, D width per head.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from raykd.data.encoding import CLS_ID, PAD_ID, SEP_ID, UNK_ID
from raykd.models.norm import LayerNorm

MASKED = -3e4  # for padding, before a softmax or a maximum: float16 holds it
NO_WORDS = (PAD_ID, UNK_ID, CLS_ID, SEP_ID)


def _initializer() -> keras.initializers.Initializer:
    """BERT's; a new one for each weight, since an initializer repeats the values of its seed."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


def _gelu(states: Any) -> Any:
    """The tanh form: exact GELU becomes Erfc in ONNX, which onnxruntime refuses."""
    return ops.gelu(states, approximate=True)


def segments(ids_BL: Any, pad_id: int = PAD_ID, sep_id: int = SEP_ID) -> Any:
    """0 for the first text with its [SEP], 1 for the second with its own, -1 for padding; int32 [B, L]."""
    is_separator = ops.cast(ops.equal(ids_BL, sep_id), "int32")
    before = ops.cumsum(is_separator, axis=1) - is_separator
    return ops.where(ops.equal(ids_BL, pad_id), -1, ops.minimum(before, 1))


def matches(ids_BL: Any, segments_BL: Any, no_words: Sequence[int] = NO_WORDS) -> Any:
    """1 where a word also stands in the other text, else 0; int32 [B, L]. Args: no_words: ids that are none."""
    word_BL = ops.all(ops.stack([ops.not_equal(ids_BL, other) for other in no_words]), axis=0)
    # Of each text its words alone, and what no text has in place of all else: one comparison of all pairs tells.
    first_BL, second_BL = (
        ops.where(ops.logical_and(word_BL, ops.equal(segments_BL, text)), ids_BL, -1 - text) for text in (0, 1)
    )
    same_BLL = ops.equal(first_BL[:, :, None], second_BL[:, None, :])
    return ops.cast(ops.logical_or(ops.any(same_BLL, axis=2), ops.any(same_BLL, axis=1)), "int32")


@keras.saving.register_keras_serializable(package="raykd")
class TextEmbedding(keras.layers.Layer):
    """Sum of token, position, segment and match embeddings, normalised.

    Call: ids int32 [B, L] -> [B, L, width].
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int,
        mark_matches: bool = True,
        no_words: Sequence[int] = NO_WORDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary, self.length, self.width, self.mark_matches = vocabulary, length, width, mark_matches
        self.no_words = tuple(no_words)  # ids of padding, [UNK], [CLS] and [SEP]

    def build(self, input_shape: Any) -> None:
        """Create the tables."""
        self.tokens = self.add_weight(shape=(self.vocabulary, self.width), initializer=_initializer(), name="tokens")
        self.positions = self.add_weight(shape=(self.length, self.width), initializer=_initializer(), name="positions")
        # One small table: segment (2) and match (2), so that one look-up serves both.
        # Larger than the words at first: what both texts share tells more than any word does alone.
        loud = keras.initializers.TruncatedNormal(stddev=0.2)
        self.marks = self.add_weight(shape=(4, self.width), initializer=loud, name="marks")
        self.norm = LayerNorm(epsilon=1e-6)
        self.norm.build((None, None, self.width))

    def call(self, ids_BL: Any) -> Any:
        """Embed."""
        segments_BL = segments(ids_BL, self.no_words[0], self.no_words[-1])
        marks_BL = ops.maximum(segments_BL, 0)
        if self.mark_matches:
            marks_BL += 2 * matches(ids_BL, segments_BL, self.no_words)
        total = ops.take(self.tokens, ids_BL, axis=0) + ops.take(self.marks, marks_BL, axis=0)
        return self.norm(total + self.positions[: ops.shape(ids_BL)[1]])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        own = {name: getattr(self, name) for name in ("vocabulary", "length", "width", "mark_matches", "no_words")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="raykd")
class TransformerBlock(keras.layers.Layer):
    """Self-attention and a GELU feed-forward of four times the width, each after a norm and added back.

    Training leaves each of the two out of a row with chance `skipped`, and makes it louder where it stays, so that
    prediction takes all of them (stochastic depth: Huang et al. 2016, eq. 2 and 5).
    Call: states [B, L, W], mask bool [B, L] (True: a token) -> [B, L, W].
    """

    def __init__(self, heads: int, dropout: float = 0.0, skipped: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.dropout, self.skipped = heads, dropout, skipped

    def build(self, states_shape: Any, mask_shape: Any = None) -> None:
        """Create weights and sub-layers."""
        width = states_shape[-1]
        self.attention_norm = LayerNorm(epsilon=1e-6)
        self.query_key_value = keras.layers.Dense(3 * width, kernel_initializer=_initializer())
        self.attention_output = keras.layers.Dense(width, kernel_initializer=_initializer())
        self.feed_forward_norm = LayerNorm(epsilon=1e-6)
        # As an activation of its layer and by that one's name, TensorFlow computes GELU in the matrix product's pass.
        self.expand = keras.layers.Dense(4 * width, activation=_gelu, kernel_initializer=_initializer())
        self.contract = keras.layers.Dense(width, kernel_initializer=_initializer())
        self.drop = keras.layers.Dropout(self.dropout)
        self.skip = keras.layers.Dropout(self.skipped, noise_shape=(None, 1, 1))  # one draw per row
        flat = (None, width)
        for layer in (self.query_key_value, self.attention_output, self.expand):
            layer.build(flat)
        self.contract.build((None, 4 * width))
        self.attention_norm.build((None, None, width))
        self.feed_forward_norm.build((None, None, width))

    def call(self, states: Any, mask: Any, training: bool = False) -> Any:
        """Attend and transform."""
        attended = self._attend(self.attention_norm(states), mask)
        states_BLW = states + self.skip(self.drop(attended, training=training), training=training)
        hidden = self._flat(self._feed_forward, self.feed_forward_norm(states_BLW))
        return states_BLW + self.skip(self.drop(hidden, training=training), training=training)

    def _feed_forward(self, states: Any) -> Any:
        return self.contract(self.expand(states))

    def _flat(self, layer: Callable[[Any], Any], states: Any) -> Any:
        """Apply dense layers to [B * L, width]: one plain matrix product is faster than a batched one."""
        batch, length, width = ops.shape(states)[0], ops.shape(states)[1], states.shape[-1]
        outputs = layer(ops.reshape(states, (-1, width)))
        return ops.reshape(outputs, (batch, length, outputs.shape[-1]))

    def attention_of(self, states: Any) -> Any:
        """Query, key and value that the block makes of its input [B, L, W], unscaled: [3, B, H, L, D]."""
        return self._query_key_value(self.attention_norm(states), ops.shape(states)[0], ops.shape(states)[1])

    def _query_key_value(self, states_BLW: Any, batch: Any, length: Any) -> Any:
        depth = states_BLW.shape[-1] // self.heads
        mixed = self._flat(self.query_key_value, states_BLW)
        return ops.transpose(ops.reshape(mixed, (batch, length, 3, self.heads, depth)), (2, 0, 3, 1, 4))

    def _attend(self, states_BLW: Any, mask_BL: Any) -> Any:
        batch, length, width = ops.shape(states_BLW)[0], ops.shape(states_BLW)[1], states_BLW.shape[-1]
        depth = width // self.heads
        mixed = self._query_key_value(states_BLW, batch, length)
        query_BHLD, key_BHLD, value_BHLD = mixed[0] * depth**-0.5, mixed[1], mixed[2]
        scores_BHLL = ops.matmul(query_BHLD, ops.transpose(key_BHLD, (0, 1, 3, 2)))
        scores_BHLL += ops.cast(ops.where(mask_BL, 0.0, MASKED), scores_BHLL.dtype)[:, None, None, :]
        context_BHLD = ops.matmul(ops.softmax(scores_BHLL, axis=-1), value_BHLD)
        context_BLW = ops.reshape(ops.transpose(context_BHLD, (0, 2, 1, 3)), (batch, length, width))
        return self._flat(self.attention_output, context_BLW)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "heads": self.heads, "dropout": self.dropout, "skipped": self.skipped}


def encode(inputs: Any, embedding: TextEmbedding, blocks: list[TransformerBlock], mask: Any) -> Any:
    """Embed ids and run them through the blocks; returns normalised states [B, L, W]."""
    states = embedding(inputs)
    for block in blocks:
        states = block(states, mask)
    return LayerNorm(epsilon=1e-6)(states)
