"""Validation while a model trains: every worker measures its shards, and the sums are reduced.

Axes: B batch, C classes.
"""

import numpy as np
from numpy.typing import NDArray

from raykd.artifacts import RunDirectory, external_folder
from raykd.data.largest import spread
from raykd.data.portions import Portions
from raykd.data.reader import Reader
from raykd.data.shards import Arrays, Manifest
from raykd.train.checkpoint import Values
from raykd.train.job import TrainJob
from raykd.train.predict import Predictor, probabilities_of
from raykd.train.strategy import Place


class Validation:
    """Loss and accuracy of the model's prediction on the validation split.

    A row without a label is measured against the mean probabilities of the external teachers that have scored it.
    """

    def __init__(self, job: TrainJob, run: RunDirectory, manifest: Manifest, place: Place) -> None:
        self._job = job
        self._place = place
        own = manifest.of("validation")[place.rank :: place.workers]
        judges = manifest.external_with("validation") if "validation" in manifest.scored_only else ()
        reader = Reader(run, own, manifest.inputs, tuple(map(external_folder, judges)))
        self._rows = Portions(reader, manifest.classes, job.model.heads)

    def measure(self, weights: Values) -> dict[str, float]:
        """Mean negative log-likelihood, in nats, and share of right predictions; every worker must call it.

        Against an external teacher: the cross-entropy, and the share of rows with the same most probable class.
        """
        likelihood, right, rows = self._place.sum_over_workers(self._sums(weights))
        return {"validation_loss": float(likelihood / rows), "validation_accuracy": float(right / rows)}

    def _sums(self, weights: Values) -> np.ndarray:
        predictor = Predictor(self._job.model, weights)
        sums = np.zeros(3)
        for rows in self._rows:
            predicted_BC = probabilities_of(predictor.logits(rows))
            target_BC = _target(rows, predicted_BC.shape[1])
            likelihood_B = -(target_BC * np.log(np.maximum(predicted_BC, 1e-12))).sum(axis=-1)
            right_B = predicted_BC.argmax(axis=-1) == target_BC.argmax(axis=-1)
            sums += likelihood_B.sum(), right_B.sum(), len(target_BC)
        return sums


def _target(rows: Arrays, classes: int) -> NDArray[np.float64]:
    """Probabilities [B, C] to measure against: certain ones where there is a label."""
    labels_B = rows["label"]
    certain_BC: NDArray[np.float64] = (labels_B[:, None] == np.arange(classes)).astype(np.float64)
    if "teacher_logits" not in rows:
        return certain_BC
    judged_BC = probabilities_of(spread(rows["teacher_logits"], classes))
    target_BC: NDArray[np.float64] = np.where(labels_B[:, None] >= 0, certain_BC, judged_BC)
    return target_BC
