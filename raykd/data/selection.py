"""Which unlabelled rows a student learns from, and how much each counts: self-training on a teacher's predictions.

Readers: the reader of shards, which gives every row its weight, and the rounds of Noisy Student, which set it up.

Axes: B rows, N teachers, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from raykd.config import Space
from raykd.ensemble import average

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """What becomes of a row, by its label and its teachers' logits.

    A labelled row has weight 1 whatever the teachers say. A row without a label (-1) is kept if the teachers' largest
    mean probability, at temperature 1, is above `confidence`, and then has the weight of the class predicted; else its
    weight is 0, like that of padding: it's read, but has no part in losses, gradients or counts.

    Args:
        class_weights: one per class; None: all 1.
        teachers: weights of the teachers, summing to 1; None: equal ones.
        space: what of the teachers is averaged.
        hard: a kept row's label becomes the class predicted, as if it were true.
    Source: Xie et al. 2020, "Self-training with Noisy Student", section 3.1, data filtering and balancing.
    """

    confidence: float
    class_weights: tuple[float, ...] | None = None
    teachers: tuple[float, ...] | None = None
    space: Space = "probabilities"
    hard: bool = False

    def __call__(
        self, labels_B: NDArray[np.int32], teacher_logits_BNC: NDArray[np.float16]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Labels int32 [B] and weights float32 [B] to train with."""
        classes_B, confidence_B = self.predicted(teacher_logits_BNC)
        kept_B = self.keeps(labels_B, confidence_B)
        weights_C = np.ones(teacher_logits_BNC.shape[2]) if self.class_weights is None else self.class_weights
        weights_B = np.where(kept_B, np.asarray(weights_C, np.float32)[classes_B], np.float32(0.0))
        taken_B = np.where(kept_B & self.hard, classes_B, labels_B).astype(np.int32)
        return taken_B, np.where(labels_B >= 0, np.float32(1.0), weights_B)

    def predicted(self, teacher_logits_BNC: NDArray[np.float16]) -> tuple[NDArray[np.int64], Floats]:
        """The most probable class of each row, and its probability."""
        mean_BC = self._mean(teacher_logits_BNC)
        return mean_BC.argmax(axis=1), mean_BC.max(axis=1)

    def keeps(self, labels_B: NDArray[np.int32], confidence_B: Floats) -> NDArray[np.bool_]:
        """Which rows are kept of those without a label."""
        kept_B: NDArray[np.bool_] = (labels_B < 0) & (confidence_B > self.confidence)
        return kept_B

    def _mean(self, teacher_logits_BNC: NDArray[np.float16]) -> Floats:
        probabilities_BNC = softmax(teacher_logits_BNC.astype(np.float64), axis=2)
        return average(list(probabilities_BNC.swapaxes(0, 1)), self.teachers, self.space)


def balanced(counts_C: Sequence[int]) -> tuple[float, ...]:
    """Weights with which every class counts as much as any other, and the rows as much as unweighted ones.

    A row of a class with n of all N rows counts N / (n * classes that have rows). Xie et al. repeat rows of small
    classes and drop the least sure ones of large classes, until each has 130,000. Weights do the same to the expected
    loss of small classes without reading a row twice; in large classes all rows count less, where the paper drops some.
    Args: rows of each class.
    Returns: one weight per class; 0 for a class without rows.
    """
    rows_C = np.asarray(counts_C, np.float64)
    share = rows_C.sum() / max(1, np.count_nonzero(rows_C))
    return tuple(float(share / rows) if rows else 0.0 for rows in rows_C)
