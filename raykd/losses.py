"""Losses: pure functions, one number per example; the training loop reduces them.

Soft losses share one signature: teacher logits, student logits, temperature, and what is known of the rows, true
labels (-1 or no labels at all: unknown) and weights (0 in padding rows; None: all 1). Most need only some of it.

Axes: B batch, N teachers, K heads, C classes. Logits are raw: no softmax, no temperature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from raykd.config import Space

Tensor = Any

_NEVER = -1e9  # a logit whose probability is 0
_TINY = 1e-12  # Variances count as no smaller: the gradient of a root is infinite at 0, where padding rows are.


def hard_cross_entropy(labels_B: Tensor, logits_BC: Tensor) -> Tensor:
    """Cross-entropy of true classes at temperature 1; 0 where the label is -1 (unknown).

    Args: labels int [B]; logits float [B, C].
    Returns: [B] float32, in nats.
    """
    known_B = labels_B >= 0
    loss_B = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels_B, 0), tf.cast(logits_BC, tf.float32))
    return tf.where(known_B, loss_B, 0.0)


def soft_kl(
    teacher_logits_BC: Tensor,
    student_logits_BC: Tensor,
    temperature: Tensor | float,
    labels_B: Tensor | None = None,
    weights_B: Tensor | None = None,
) -> Tensor:
    """T²-scaled KL divergence from the softened teacher to the softened student.

    Args: logits [B, C], any float type; temperature > 0.
    Returns: [B] float32, in nats. Gradients do not flow into the teacher.
    Source: Hinton et al. 2015, eq. 2-4 (T² keeps the gradient's size independent of T).
    """
    del labels_B, weights_B
    teacher_BC, student_BC = _tempered(teacher_logits_BC, student_logits_BC, temperature)
    return temperature**2 * _divergence(tf.nn.log_softmax(teacher_BC), tf.nn.log_softmax(student_BC))


def logit_mse(
    teacher_logits_BC: Tensor,
    student_logits_BC: Tensor,
    temperature: Tensor | float,
    labels_B: Tensor | None = None,
    weights_B: Tensor | None = None,
) -> Tensor:
    """Mean over classes of the squared difference of raw logits; `temperature` has no part in it.

    Args: logits [B, C], any float type.
    Returns: [B] float32. Gradients do not flow into the teacher.
    Source: Yang et al. 2020, the loss l_s of both stages.
    """
    del temperature, labels_B, weights_B
    teacher_BC = tf.cast(tf.stop_gradient(teacher_logits_BC), tf.float32)
    return tf.reduce_mean(tf.square(tf.cast(student_logits_BC, tf.float32) - teacher_BC), axis=-1)


def dkd(
    teacher_logits_BC: Tensor,
    student_logits_BC: Tensor,
    temperature: Tensor | float,
    labels_B: Tensor | None = None,
    weights_B: Tensor | None = None,
    part_weights: tuple[float, float] = (1.0, 8.0),
) -> Tensor:
    """Decoupled KL divergence: target against the rest, and among the rest, weighted apart; times T².

    KL(p ‖ q) is the first part plus (1 - p_target) times the second, so that a sure teacher's second part hardly
    counts; here it counts by its own weight. The target is the true class, or where that is unknown the teacher's
    most probable one.
    Args: logits [B, C], any float type, C > 2; temperature > 0; part_weights: of the two parts.
    Returns: [B] float32, in nats. Gradients do not flow into the teacher.
    Source: Zhao et al. 2022, section 3.3 (1 and 8 on CIFAR-100; the less sure the teacher, the less the second).
    """
    del weights_B
    teacher_BC, student_BC = _tempered(teacher_logits_BC, student_logits_BC, temperature)
    target_B = tf.argmax(teacher_BC, axis=-1, output_type=tf.int32)
    if labels_B is not None:
        target_B = tf.where(labels_B >= 0, tf.cast(labels_B, tf.int32), target_B)
    target_BC = tf.one_hot(target_B, teacher_BC.shape[-1], on_value=True, off_value=False)
    teacher, student = _decoupled(teacher_BC, target_BC), _decoupled(student_BC, target_BC)
    parts = [weight * _divergence(p, q) for weight, p, q in zip(part_weights, teacher, student, strict=True)]
    return temperature**2 * tf.add_n(parts)


def logit_standardised_kl(
    teacher_logits_BC: Tensor,
    student_logits_BC: Tensor,
    temperature: Tensor | float,
    labels_B: Tensor | None = None,
    weights_B: Tensor | None = None,
) -> Tensor:
    """T²-scaled KL divergence between each row's z-scores: the student need not match the teacher's scale.

    z-scores take the sample's deviation (over C - 1), as in the published code. That trains with 0.1 CE + 9 T² KL
    at T = 2 on CIFAR-100; here, as with any soft loss, `alpha` weighs T² KL against CE: 0.989 gives that ratio.
    Args: logits [B, C], any float type, C > 2; temperature > 0, of logits whose deviation is 1.
    Returns: [B] float32, in nats. Gradients do not flow into the teacher.
    Source: Sun et al. 2024, z-scores before Hinton's loss.
    """
    return soft_kl(_standardised(teacher_logits_BC), _standardised(student_logits_BC), temperature, labels_B, weights_B)


def dist(
    teacher_logits_BC: Tensor,
    student_logits_BC: Tensor,
    temperature: Tensor | float,
    labels_B: Tensor | None = None,
    weights_B: Tensor | None = None,
) -> Tensor:
    """1 - Pearson correlation of teacher's and student's softened probabilities, by rows and by columns, added up.

    It needs the whole batch: a column's correlation is one number over all rows, and every row's loss has the mean
    of the columns' in it. Rows count by their weight, padding rows not at all. The training loop brings the rows of
    all replicas together; parts of a batch (gradient accumulation) are refused; under parameter servers the batch is
    the part of one worker.
    Correlations have no scale, so the gradient's size doesn't fall with T and there is no factor T²; the published
    code has one, the paper's equations don't.
    Args: logits [B, C], any float type, C > 2; temperature > 0; weights [B].
    Returns: [B] float32, 0 to 4. Gradients do not flow into the teacher. A column without variance counts 1.
    Source: Huang et al. 2022, inter-class and intra-class relation, each with weight 1.
    """
    del labels_B
    teacher_BC, student_BC = map(tf.nn.softmax, _tempered(teacher_logits_BC, student_logits_BC, temperature))
    ones_BC = tf.ones_like(teacher_BC)
    weights_BC = ones_BC if weights_B is None else ones_BC * tf.cast(weights_B, tf.float32)[:, None]
    columns_C = _correlation(teacher_BC, student_BC, weights_BC, axis=0)
    return (1.0 - _correlation(teacher_BC, student_BC, ones_BC, axis=1)) + tf.reduce_mean(1.0 - columns_C)


def _tempered(teacher_logits: Tensor, student_logits: Tensor, temperature: Tensor | float) -> tuple[Tensor, Tensor]:
    """Both over the temperature, float32, the teacher's without gradient."""
    teacher = tf.cast(tf.stop_gradient(teacher_logits), tf.float32) / temperature
    return teacher, tf.cast(student_logits, tf.float32) / temperature


def _divergence(log_p_BC: Tensor, log_q_BC: Tensor) -> Tensor:
    """KL(p ‖ q) of each row, [B]."""
    return tf.reduce_sum(tf.exp(log_p_BC) * (log_p_BC - log_q_BC), axis=-1)


def _decoupled(logits_BC: Tensor, target_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the target and of all others together, [B, 2], and of each among the others, [B, C]."""
    others_BC = tf.where(target_BC, _NEVER, logits_BC)
    target_B = tf.reduce_sum(tf.where(target_BC, logits_BC, 0.0), axis=-1)
    pair_B2 = tf.stack([target_B, tf.reduce_logsumexp(others_BC, axis=-1)], axis=-1)
    return tf.nn.log_softmax(pair_B2), tf.nn.log_softmax(others_BC)


def _standardised(logits_BC: Tensor) -> Tensor:
    logits_BC = tf.cast(logits_BC, tf.float32)
    centred_BC = logits_BC - tf.reduce_mean(logits_BC, axis=-1, keepdims=True)
    variance_B1 = tf.reduce_sum(tf.square(centred_BC), axis=-1, keepdims=True) / (logits_BC.shape[-1] - 1)
    return centred_BC / tf.sqrt(tf.maximum(variance_B1, _TINY))


def _correlation(first_BC: Tensor, second_BC: Tensor, weights_BC: Tensor, axis: int) -> Tensor:
    """Weighted Pearson correlation along an axis; 0 where one of the two doesn't vary."""
    total = tf.reduce_sum(weights_BC, axis, keepdims=True)
    first_BC, second_BC = (
        values_BC - tf.math.divide_no_nan(tf.reduce_sum(weights_BC * values_BC, axis, keepdims=True), total)
        for values_BC in (first_BC, second_BC)
    )
    deviations = [
        tf.sqrt(tf.maximum(tf.reduce_sum(weights_BC * tf.square(values_BC), axis), _TINY))
        for values_BC in (first_BC, second_BC)
    ]
    return tf.reduce_sum(weights_BC * first_BC * second_BC, axis) / (deviations[0] * deviations[1])


SOFT_LOSSES: dict[str, Callable[..., Tensor]] = {
    "kl": soft_kl,
    "logit_mse": logit_mse,
    "dkd": dkd,
    "logit_standardised_kl": logit_standardised_kl,
    "dist": dist,
}
WHOLE_BATCH = frozenset({"dist"})  # A row's loss depends on the others.


def average_teachers(
    teacher_logits_BNC: Tensor,
    temperature: Tensor | float,
    weights: Sequence[float] | None = None,
    space: Space = "probabilities",
) -> Tensor:
    """Logits [B, C] float32 of one teacher that is the weighted mean of all: equal teachers average to themselves.

    Of probabilities: softmax(result / T) = sum_n w_n softmax(z_n / T), and the result lies at the mean level of the
    teachers' logits, so it serves any soft loss as one teacher does. Of logits: result = sum_n w_n z_n at any T.
    Args: weights: N numbers that sum to 1; None: equal ones.
    Source: Yang et al. 2020, the 1avg-o-1 baseline, averaged after tempering.
    """
    logits_BNC = tf.cast(teacher_logits_BNC, tf.float32)
    if space == "logits":
        return _mean_teacher(logits_BNC, weights)
    tempered_BNC = logits_BNC / temperature
    level_BN1 = tf.reduce_logsumexp(tempered_BNC, axis=2, keepdims=True)
    if weights is None:
        teachers = tf.cast(tf.shape(teacher_logits_BNC)[1], tf.float32)
        mean_BC = tf.reduce_logsumexp(tempered_BNC - level_BN1, axis=1) - tf.math.log(teachers)
    else:
        log_weights_N1 = tf.math.log(tf.constant(weights, tf.float32))[:, None]
        mean_BC = tf.reduce_logsumexp(tempered_BNC - level_BN1 + log_weights_N1, axis=1)
    return temperature * (mean_BC + _mean_teacher(level_BN1, weights))


def _mean_teacher(values_BNX: Tensor, weights: Sequence[float] | None) -> Tensor:
    """[B, X] of [B, N, X]."""
    if weights is None:
        return tf.reduce_mean(values_BNX, axis=1)
    return tf.reduce_sum(values_BNX * tf.constant(weights, tf.float32)[:, None], axis=1)


def blend(hard_B: Tensor, soft_B: Tensor, labels_B: Tensor, alpha: Tensor | float) -> Tensor:
    """(1 - alpha) * hard + alpha * soft; where the label is -1 alpha counts as 1. Returns: [B] float32."""
    alpha_B = tf.where(labels_B >= 0, alpha, 1.0)
    return (1.0 - alpha_B) * hard_B + alpha_B * soft_B


@dataclass(frozen=True)
class Objective:
    """How a student with K heads learns from hard labels and from the logits of N teachers.

    K = 1: every teacher teaches the head. K = N + 1: head 0 is golden and learns from labels, head i + 1 from
    teacher i alone (Yang et al. 2020). K = N > 1: no head is golden, head i learns from teacher i, and the hard
    loss has no part (alpha counts as 1).

    Args:
        average: one teacher is made of all: the mean of their probabilities or logits (`space`) by `weights`.
        weights: of the teachers, summing to 1; None: equal ones.
        dkd_weights: of the two parts of the soft loss `dkd`.
    """

    soft_loss: str = "kl"
    average: bool = False
    space: Space = "probabilities"
    weights: tuple[float, ...] | None = None
    dkd_weights: tuple[float, float] = (1.0, 8.0)

    @property
    def needs_batch(self) -> bool:
        """Whether the soft loss of a row depends on the other rows of the batch."""
        return self.soft_loss in WHOLE_BATCH

    def __call__(
        self,
        labels_B: Tensor,
        logits_BKC: Tensor,
        teacher_logits_BNC: Tensor | None,
        alpha: Tensor | float,
        temperature: Tensor | float,
        weights_B: Tensor | None = None,
    ) -> Tensor:
        """Loss of each example, [B] float32; without teachers the hard loss alone.

        Args: weights: of the rows, 0 in padding, for soft losses over the whole batch; None: all 1.
        Raises: ValueError when the heads fit neither one teacher nor each one's own.
        """
        if teacher_logits_BNC is None:
            return hard_cross_entropy(labels_B, logits_BKC[:, 0])
        if self.average:
            averaged_BC = average_teachers(teacher_logits_BNC, temperature, self.weights, self.space)
            teacher_logits_BNC = averaged_BC[:, None]
        heads, teachers = logits_BKC.shape[1], teacher_logits_BNC.shape[1]
        soft_loss = SOFT_LOSSES[self.soft_loss]
        if self.soft_loss == "dkd":
            soft_loss = partial(soft_loss, part_weights=self.dkd_weights)
        losses = [
            soft_loss(teacher_logits_BNC[:, teacher], logits_BKC[:, head], temperature, labels_B, weights_B)
            for teacher, head in enumerate(_taught_heads(heads, teachers))
        ]
        soft_B = tf.add_n(losses) / len(losses)
        if heads == teachers > 1:
            return soft_B
        return blend(hard_cross_entropy(labels_B, logits_BKC[:, 0]), soft_B, labels_B, alpha)


def _taught_heads(heads: int, teachers: int) -> Sequence[int]:
    """The head that each teacher teaches."""
    if heads == 1:
        return [0] * teachers
    if heads not in (teachers, teachers + 1):
        raise ValueError(f"{heads} heads for {teachers} teachers, expected 1, {teachers} or {teachers + 1}")
    return range(heads - teachers, heads)
