"""Validation while a model trains: every worker measures its shards, and the sums are reduced.

Axes: B batch, C classes.
"""

import numpy as np

from raykd.artifacts import RunDirectory
from raykd.data.reader import Reader
from raykd.data.shards import Manifest
from raykd.train.checkpoint import Values
from raykd.train.job import TrainJob
from raykd.train.predict import Predictor, probabilities_of
from raykd.train.strategy import Place


class Validation:
    """Hard-label loss and accuracy of the model's prediction on the validation split."""

    def __init__(self, job: TrainJob, run: RunDirectory, manifest: Manifest, place: Place) -> None:
        self._job = job
        self._place = place
        own = manifest.of("validation")[place.rank :: place.workers]
        shards = list(Reader(run, own, manifest.inputs).all())
        self._rows = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]} if shards else {}

    def measure(self, weights: Values) -> dict[str, float]:
        """Mean negative log-likelihood, in nats, and share of right predictions; every worker must call it."""
        likelihood, right, rows = self._place.sum_over_workers(self._sums(weights))
        return {"validation_loss": float(likelihood / rows), "validation_accuracy": float(right / rows)}

    def _sums(self, weights: Values) -> np.ndarray:
        if not self._rows:
            return np.zeros(3)
        predictor = Predictor(self._job.model, weights, self._job.training.jit_compile)
        predicted_BC = probabilities_of(predictor.logits(self._rows))
        labels_B = self._rows["label"]
        likelihood_B = -np.log(np.maximum(predicted_BC[np.arange(len(labels_B)), labels_B], 1e-12))
        return np.array([likelihood_B.sum(), (predicted_BC.argmax(axis=-1) == labels_B).sum(), len(labels_B)])
