"""Losses: pure functions, one number per example; the training loop reduces them.

Axes: B batch, N teachers, K heads, C classes. Logits are raw: no softmax, no temperature.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensor = Any


def hard_cross_entropy(labels_B: Tensor, logits_BC: Tensor) -> Tensor:
    """Cross-entropy of true classes at temperature 1; 0 where the label is -1 (unknown).

    Args: labels int [B]; logits float [B, C].
    Returns: [B] float32, in nats.
    """
    known_B = labels_B >= 0
    loss_B = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels_B, 0), tf.cast(logits_BC, tf.float32))
    return tf.where(known_B, loss_B, 0.0)


def soft_kl(teacher_logits_BC: Tensor, student_logits_BC: Tensor, temperature: Tensor | float) -> Tensor:
    """T²-scaled KL divergence from the softened teacher to the softened student.

    Args: logits [B, C], any float type; temperature > 0.
    Returns: [B] float32, in nats. Gradients do not flow into the teacher.
    Source: Hinton et al. 2015, eq. 2-4 (T² keeps the gradient's size independent of T).
    """
    teacher_BC = tf.nn.log_softmax(tf.cast(tf.stop_gradient(teacher_logits_BC), tf.float32) / temperature)
    student_BC = tf.nn.log_softmax(tf.cast(student_logits_BC, tf.float32) / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(teacher_BC) * (teacher_BC - student_BC), axis=-1)


def logit_mse(teacher_logits_BC: Tensor, student_logits_BC: Tensor, temperature: Tensor | float) -> Tensor:
    """Mean over classes of the squared difference of raw logits; `temperature` has no part in it.

    Args: logits [B, C], any float type.
    Returns: [B] float32. Gradients do not flow into the teacher.
    Source: Yang et al. 2020, the loss l_s of both stages.
    """
    del temperature
    teacher_BC = tf.cast(tf.stop_gradient(teacher_logits_BC), tf.float32)
    return tf.reduce_mean(tf.square(tf.cast(student_logits_BC, tf.float32) - teacher_BC), axis=-1)


SOFT_LOSSES: dict[str, Callable[[Tensor, Tensor, Any], Tensor]] = {"kl": soft_kl, "logit_mse": logit_mse}


def average_teachers(teacher_logits_BNC: Tensor, temperature: Tensor | float) -> Tensor:
    """Logits [B, C] float32 of one teacher whose tempered probabilities are the mean of the teachers'.

    softmax(result / T) = mean_n softmax(z_n / T), and the result lies at the mean level of the teachers'
    logits, so it serves any soft loss as one teacher does: equal teachers average to themselves.
    Source: Yang et al. 2020, the 1avg-o-1 baseline, averaged after tempering.
    """
    tempered_BNC = tf.cast(teacher_logits_BNC, tf.float32) / temperature
    level_BN1 = tf.reduce_logsumexp(tempered_BNC, axis=2, keepdims=True)
    teachers = tf.cast(tf.shape(teacher_logits_BNC)[1], tf.float32)
    mean_BC = tf.reduce_logsumexp(tempered_BNC - level_BN1, axis=1) - tf.math.log(teachers)
    return temperature * (mean_BC + tf.reduce_mean(level_BN1, axis=1))


def blend(hard_B: Tensor, soft_B: Tensor, labels_B: Tensor, alpha: Tensor | float) -> Tensor:
    """(1 - alpha) * hard + alpha * soft; where the label is -1 alpha counts as 1. Returns: [B] float32."""
    alpha_B = tf.where(labels_B >= 0, alpha, 1.0)
    return (1.0 - alpha_B) * hard_B + alpha_B * soft_B


@dataclass(frozen=True)
class Objective:
    """How a student learns from hard labels and from teachers' logits.

    With one head, every teacher teaches it; with 1 + N heads, head 0 is golden and head i learns from
    teacher i alone (Yang et al. 2020); with N > 1 heads there is none golden, for rows without labels.
    `average` makes one teacher of all.
    """

    soft_loss: str = "kl"
    average: bool = False

    def __call__(
        self,
        labels_B: Tensor,
        logits_BKC: Tensor,
        teacher_logits_BNC: Tensor | None,
        alpha: Tensor | float,
        temperature: Tensor | float,
    ) -> Tensor:
        """Loss of each example, [B] float32; without teachers the hard loss alone."""
        hard_B = hard_cross_entropy(labels_B, logits_BKC[:, 0])
        if teacher_logits_BNC is None:
            return hard_B
        return blend(hard_B, self._soft(logits_BKC, teacher_logits_BNC, temperature), labels_B, alpha)

    def _soft(self, logits_BKC: Tensor, teacher_logits_BNC: Tensor, temperature: Tensor | float) -> Tensor:
        if self.average:
            teacher_logits_BNC = average_teachers(teacher_logits_BNC, temperature)[:, None]
        soft_loss = SOFT_LOSSES[self.soft_loss]
        heads, teachers = logits_BKC.shape[1], teacher_logits_BNC.shape[1]
        golden = int(heads == teachers + 1)
        losses = [
            soft_loss(teacher_logits_BNC[:, i], logits_BKC[:, 0 if heads == 1 else i + golden], temperature)
            for i in range(teachers)
        ]
        return tf.add_n(losses) / len(losses)
