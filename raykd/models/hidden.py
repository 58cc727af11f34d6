"""A model's hidden states beside its logits, computed by the same layers: what losses on hidden states read.

Reader: the compiled step, where a student learns from hidden states. Models without such a loss never pass here.

Axes: B batch, L length, W width, K heads of the output, C classes.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from raykd.hidden_losses import Attention
from raykd.models.build import HEADS
from raykd.models.text import MaskedPool
from raykd.models.transformer import TransformerBlock

Tensor = Any


class Hidden(NamedTuple):
    """What a forward pass leaves.

    Args:
        logits: [B, K, C].
        states: last states of the tokens, [B, L, W], as they are pooled; of a model of features, or of a user's own,
            the last vector as [B, 1, W].
        mask: bool [B, L], True where a token is.
        attention: of the last transformer block, where it was asked for.
    """

    logits: Tensor
    states: Tensor
    mask: Tensor
    attention: Attention | None


class HiddenStates:
    """A model that tells its hidden states; weights and layers are the model's own.

    Args: attention: tell the last block's queries, keys and values too; the model is a cross-encoder.
    """

    def __init__(self, model: keras.Model, *, attention: bool = False) -> None:
        pools = [layer for layer in model.layers if isinstance(layer, MaskedPool)]
        blocks = [layer for layer in model.layers if isinstance(layer, TransformerBlock)]
        self._block = blocks[-1] if attention else None
        # A pool reads states and mask; a bi-encoder has one pool for each text.
        pooled = [pool.input for pool in pools]
        vector = [] if pools else [model.get_layer(HEADS).input]
        entered = [self._block.input[0]] if self._block else []
        self._model = keras.Model(model.input, [model.output, pooled, vector, entered])
        self.width: int = (pooled[0][0] if pools else vector[0]).shape[-1]

    def __call__(self, inputs: Tensor, *, training: bool) -> Hidden:
        """One forward pass."""
        logits_BKC, pooled, vector, entered = self._model(inputs, training=training)
        if pooled:
            states_BLW, mask_BL = pooled[0]
            for others_BLW, others_BL in pooled[1:]:
                states_BLW = tf.where(others_BL[:, :, None], others_BLW, states_BLW)
                mask_BL = tf.logical_or(mask_BL, others_BL)
        else:
            states_BLW = vector[0][:, None]
            mask_BL = tf.ones(tf.shape(states_BLW)[:2], tf.bool)
        attention = Attention(*tf.unstack(self._block.attention_of(entered[0]))) if self._block else None
        return Hidden(logits_BKC, states_BLW, mask_BL, attention)
