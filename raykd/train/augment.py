"""Random changes to the rows of a batch, between the feed and the step.

Every number is drawn from the row's own key (`Order.keys`), never from a generator with a state: a row changes in the
same way on any number of workers and replicas, and after a resume. Rotation has no form that XLA compiles, so all of
this runs outside the compiled part.

Axes: B batch, L length, S streams, R rows of a stream.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import betaincinv

from raykd.config import AugmentConfig
from raykd.data.draws import GAMMA, LAST_SHIFT, ROUNDS
from raykd.data.encoding import CLS_ID, PAD_ID, SEP_ID, UNK_ID, InputSpec
from raykd.errors import InputError

Tensor = Any
Batch = dict[str, Tensor]

# What each draw of a row is for.
_DOWN, _RIGHT, _ANGLE, _PARTNER, _SHARE = range(5)
_SWAPS = (8, 11)  # the first of three, for each text
_TOKENS = 16  # the first token's; more follow
_LONGEST_SPAN = 4
_BITS = 24  # that a float32 holds exactly
_QUANTILES = 4096
_NO_WORDS = (PAD_ID, UNK_ID, CLS_ID, SEP_ID)


@dataclass(frozen=True)
class Augmentation:
    """The changes of one training.

    Args: rows_per_stream: rows of a worker's batch that come from one stream; only they mix.
    Raises: InputError for shifts or rotations of what is no square image.
    """

    config: AugmentConfig
    inputs: InputSpec
    rows_per_stream: int

    def __post_init__(self) -> None:
        if (self.config.shift or self.config.rotate) and self.inputs.side is None:
            raise InputError(
                f"training.augment: shift and rotate read square images, but an example has {self.inputs.length} "
                "numbers; remove them or pad the images"
            )

    def __call__(self, batch: Batch) -> Batch:
        """A worker's batch, changed and without its `key`; with mixup also `partner_label` and `share` (see `mix`)."""
        batch = dict(batch)
        keys_B, inputs = batch.pop("key"), batch["inputs"]
        if self.config.span_swap:
            inputs = swap_spans(inputs, keys_B, self.config.span_swap, self.inputs.no_words)
        if self.config.token_dropout:
            inputs = drop_tokens(inputs, keys_B, self.config.token_dropout, self.inputs.no_words)
        if self.config.shift or self.config.rotate:
            inputs = move_images(inputs, keys_B, self.config.shift, self.config.rotate, self.inputs.channels)
        batch["inputs"] = inputs
        return mix(batch, keys_B, self.config.mixup, self.rows_per_stream) if self.config.mixup else batch


def uniform(keys: Tensor, counter: Tensor) -> Tensor:
    """Draw number `counter` of each key, float32 in [0, 1); shapes broadcast. Args: keys uint64; counter int."""
    bits = keys + (tf.cast(counter, tf.uint64) + 1) * tf.constant(GAMMA, tf.uint64)
    for shift, factor in ROUNDS:
        bits = _folded(bits, shift) * tf.constant(factor, tf.uint64)
    bits = tf.bitwise.right_shift(_folded(bits, LAST_SHIFT), tf.constant(64 - _BITS, tf.uint64))
    return tf.cast(tf.cast(bits, tf.int32), tf.float32) * 2.0**-_BITS


def _folded(bits: Tensor, shift: int) -> Tensor:
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint64)))


def _below(keys_B: Tensor, counter: int, count: Tensor | int) -> Tensor:
    """A whole number from 0 to count - 1, int32 [B]; count int or int32 [B]."""
    return tf.cast(uniform(keys_B, counter) * tf.cast(count, tf.float32), tf.int32)


def drop_tokens(ids_BL: Tensor, keys_B: Tensor, chance: float, no_words: Sequence[int] = _NO_WORDS) -> Tensor:
    """Each token becomes [UNK] with this chance; [CLS], [SEP] and padding stay, so the lengths do.

    Args: no_words: ids of padding, [UNK], [CLS] and [SEP].
    Source: word dropout, Bowman et al. 2016, "Generating sentences from a continuous space", section 3.1.
    """
    draws_BL = uniform(keys_B[:, None], _TOKENS + tf.range(tf.shape(ids_BL)[1]))
    return tf.where(tf.logical_and(_is_word(ids_BL, no_words), draws_BL < chance), no_words[1], ids_BL)


def swap_spans(ids_BL: Tensor, keys_B: Tensor, chance: float, no_words: Sequence[int] = _NO_WORDS) -> Tensor:
    """In each text, with this chance, two neighbouring spans of 1 to 4 tokens, equally long, change places.

    Args: no_words: as `drop_tokens`.
    Source: random swap, Wei and Zou 2019, "EDA", with spans in place of single words.
    """
    separators_BL = tf.cast(ids_BL == no_words[-1], tf.int32)
    text_BL = tf.minimum(tf.cumsum(separators_BL, axis=1, exclusive=True), 1)  # RoBERTa puts two between texts.
    places_L = tf.range(tf.shape(ids_BL)[1])
    source_BL = tf.zeros_like(ids_BL) + places_L
    for text, first_draw in enumerate(_SWAPS):
        own_BL = tf.logical_and(text_BL == text, _is_word(ids_BL, no_words))
        begin_B1 = tf.argmax(own_BL, axis=1, output_type=tf.int32)[:, None]
        behind_BL = tf.logical_and(places_L > begin_B1, tf.logical_not(own_BL))
        length_B = (tf.argmax(behind_BL, axis=1, output_type=tf.int32)[:, None] - begin_B1)[:, 0]
        longest_B = tf.minimum(length_B // 2, _LONGEST_SPAN)
        span_B = 1 + _below(keys_B, first_draw + 1, longest_B)
        start_B = begin_B1[:, 0] + _below(keys_B, first_draw + 2, length_B - 2 * span_B + 1)
        swaps_B = tf.logical_and(longest_B > 0, uniform(keys_B, first_draw) < chance)
        into_BL = places_L - start_B[:, None]
        turn_BL = tf.where(into_BL < span_B[:, None], span_B[:, None], -span_B[:, None])
        inside_BL = tf.logical_and(into_BL >= 0, into_BL < 2 * span_B[:, None])
        source_BL += tf.where(tf.logical_and(inside_BL, swaps_B[:, None]), turn_BL, 0)
    return tf.gather(ids_BL, source_BL, batch_dims=1)


def _is_word(ids_BL: Tensor, no_words: Sequence[int]) -> Tensor:
    """Of a text: a word or [UNK]."""
    pad, _, *ends = no_words
    special = [ids_BL == special for special in (pad, *ends)]
    return tf.logical_not(tf.reduce_any(tf.stack(special), axis=0))


def move_images(images_BL: Tensor, keys_B: Tensor, shift: int, rotate: float, channels: int = 1) -> Tensor:
    """Turn flat square images about their centre by up to `rotate` degrees, then shift them by up to `shift` pixels.

    Angles are uniform, whole shifts too, down and right apart; 0 comes in from outside; between pixels bilinear.
    Returns: as the images, [B, L] uint8 (rounded) or float32.
    """
    angle_B = (2.0 * uniform(keys_B, _ANGLE) - 1.0) * (rotate * math.pi / 180)
    down_B, right_B = (_below(keys_B, draw, 2 * shift + 1) - shift
                       for draw in (_DOWN, _RIGHT))  # fmt: skip
    return transformed(images_BL, angle_B, down_B, right_B, channels)


def transformed(images_BL: Tensor, angle_B: Tensor, down_B: Tensor, right_B: Tensor, channels: int = 1) -> Tensor:
    """Flat square images turned counter-clockwise by `angle` radians about their centre, then shifted."""
    length = images_BL.shape[1]
    side = math.isqrt(length // channels)
    centre = (side - 1) / 2
    cosine_B, sine_B = tf.cos(angle_B), tf.sin(angle_B)
    # The operation asks where a pixel comes from: x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2.
    x_B, y_B = tf.cast(right_B, tf.float32) + centre, tf.cast(down_B, tf.float32) + centre
    x_row = [cosine_B, -sine_B, centre - cosine_B * x_B + sine_B * y_B]
    y_row = [sine_B, cosine_B, centre - sine_B * x_B - cosine_B * y_B]
    zero_B = tf.zeros_like(angle_B)
    images = tf.reshape(tf.cast(images_BL, tf.float32), (-1, side, side, channels))
    moved = keras.ops.image.affine_transform(
        images, tf.stack([*x_row, *y_row, zero_B, zero_B], axis=1), data_format="channels_last"
    )
    return _as(tf.reshape(moved, (-1, length)), images_BL.dtype)


def mix(batch: Batch, keys_B: Tensor, beta: float, rows_per_stream: int) -> Batch:
    """Mix each row with another of its stream's part of the batch: share * own + (1 - share) * partner's features.

    `share` float32 [B] comes from Beta(beta, beta), to 1/4096 of its quantiles; `partner_label` int32 [B] is what
    1 - share of the loss is for. Partners form one random circle per stream; padding rows stay as they are.
    Source: Zhang et al. 2018, "mixup", eq. 1; its label mixing as two losses, which is the same for cross-entropy.
    """
    partner_B = _partners(batch["weight"], keys_B, rows_per_stream)
    quantiles = betaincinv(beta, beta, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    share_B = tf.gather(tf.constant(quantiles, tf.float32), _below(keys_B, _SHARE, _QUANTILES))
    own = tf.cast(batch["inputs"], tf.float32)
    inputs = own + (1.0 - share_B[:, None]) * (tf.gather(own, partner_B) - own)
    return {
        **batch,
        "inputs": _as(inputs, batch["inputs"].dtype),
        "partner_label": tf.gather(batch["label"], partner_B),
        "share": share_B,
    }


def _partners(weight_B: Tensor, keys_B: Tensor, rows_per_stream: int) -> Tensor:
    """The row that each row mixes with, int32 [B]: the next one in the order of a draw; itself, if it is padding."""
    real_SR = tf.reshape(weight_B > 0, (-1, rows_per_stream))
    draws_SR = tf.reshape(uniform(keys_B, _PARTNER), (-1, rows_per_stream))
    order_SR = tf.argsort(tf.where(real_SR, draws_SR, 2.0), axis=1, stable=True)  # Padding comes last.
    rows_S1 = tf.reduce_sum(tf.cast(real_SR, tf.int32), axis=1, keepdims=True)
    rank_R = tf.range(rows_per_stream)
    next_SR = tf.where(rank_R < rows_S1, (rank_R + 1) % tf.maximum(rows_S1, 1), rank_R)
    following_SR = tf.gather(order_SR, next_SR, batch_dims=1)
    partner_SR = tf.gather(following_SR, tf.argsort(order_SR, axis=1), batch_dims=1)
    first_S1 = rows_per_stream * tf.range(real_SR.shape[0])[:, None]
    return tf.reshape(partner_SR + first_S1, [-1])


def _as(values: Tensor, dtype: Any) -> Tensor:
    return tf.cast(tf.round(values) if tf.as_dtype(dtype).is_integer else values, dtype)
