"""Losses on hidden states: pure functions, one number per example, the mean over its tokens; the loop reduces them.

Padding doesn't count: a row of nothing else has loss 0. Gradients don't flow into the teacher.

Axes: B batch, L length, W width, H heads, D width per head.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

Tensor = Any
_TINY = 1e-12  # Under it a vector's squared norm counts as this: a state of zeros has no direction, and no gradient.
_NEVER = -1e9  # Score of a key that is padding.


class Attention(NamedTuple):
    """What a block attends with, unscaled: float [B, H, L, D] each."""

    query: Tensor
    key: Tensor
    value: Tensor


def cosine(teacher_BLW: Tensor, student_BLW: Tensor, mask_BL: Tensor) -> Tensor:
    """1 - cosine of the angle between the teacher's and the student's state, whatever their lengths.

    Args: states float [B, L, W]; mask bool [B, L], True where a token is.
    Returns: [B] float32, 0 to 2.
    Source: Sanh et al. 2019, section 2 (L_cos).
    """
    teacher_BLW = tf.math.l2_normalize(_fixed(teacher_BLW), axis=-1, epsilon=_TINY)
    student_BLW = tf.math.l2_normalize(tf.cast(student_BLW, tf.float32), axis=-1, epsilon=_TINY)
    return _mean_over_tokens(1.0 - tf.reduce_sum(teacher_BLW * student_BLW, axis=-1), mask_BL)


def mse(teacher_BLW: Tensor, student_BLW: Tensor, mask_BL: Tensor) -> Tensor:
    """Mean over the width of the squared difference of states.

    Args: as for `cosine`. Returns: [B] float32.
    Source: Romero et al. 2015, eq. 3; Jiao et al. 2020, eq. 8. Where widths differ the student's states are projected
    before.
    """
    squared_BLW = tf.square(tf.cast(student_BLW, tf.float32) - _fixed(teacher_BLW))
    return _mean_over_tokens(tf.reduce_mean(squared_BLW, axis=-1), mask_BL)


def attention_relation(teacher: Attention, student: Attention, mask_BL: Tensor) -> Tensor:
    """KL divergence of attention distributions plus that of value relations, each the mean over heads and tokens.

    Args: a block of the teacher and one of the student with the same number of heads; the width per head may differ.
    mask bool [B, L].
    Returns: [B] float32, in nats.
    Source: Wang et al. 2020 (MiniLM), eq. 5-8.
    """
    attending_B = _relation_kl(
        _log_relation(_fixed(teacher.query), _fixed(teacher.key), mask_BL),
        _log_relation(student.query, student.key, mask_BL),
        mask_BL,
    )
    teacher_value, student_value = _fixed(teacher.value), student.value
    relating_B = _relation_kl(
        _log_relation(teacher_value, teacher_value, mask_BL),
        _log_relation(student_value, student_value, mask_BL),
        mask_BL,
    )
    return attending_B + relating_B


STATE_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"cosine": cosine, "mse": mse}


def _fixed(values: Tensor) -> Tensor:
    return tf.cast(tf.stop_gradient(values), tf.float32)


def _mean_over_tokens(values_BL: Tensor, mask_BL: Tensor) -> Tensor:
    weights_BL = tf.cast(mask_BL, tf.float32)
    return tf.reduce_sum(values_BL * weights_BL, axis=1) / tf.maximum(tf.reduce_sum(weights_BL, axis=1), 1.0)


def _log_relation(first_BHLD: Tensor, second_BHLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Logarithm of the softmax over tokens of the scaled dot products, [B, H, L, L]."""
    first_BHLD, second_BHLD = tf.cast(first_BHLD, tf.float32), tf.cast(second_BHLD, tf.float32)
    scores_BHLL = tf.matmul(first_BHLD, second_BHLD, transpose_b=True) * first_BHLD.shape[-1] ** -0.5
    return tf.nn.log_softmax(scores_BHLL + tf.where(mask_BL, 0.0, _NEVER)[:, None, None, :])


def _relation_kl(teacher_BHLL: Tensor, student_BHLL: Tensor, mask_BL: Tensor) -> Tensor:
    divergence_BHL = tf.reduce_sum(tf.exp(teacher_BHLL) * (teacher_BHLL - student_BHLL), axis=-1)
    return _mean_over_tokens(tf.reduce_mean(divergence_BHL, axis=1), mask_BL)
