"""Prediction with a trained model: logits for rows of any length, in batches of like length."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from raykd.artifacts import RunDirectory
from raykd.data.feed import padded_width
from raykd.data.shards import Arrays
from raykd.models.build import ModelSpec, build
from raykd.train.checkpoint import assign, load_weights

BATCH = 256


def load_model(run: RunDirectory, folder: str, spec: ModelSpec) -> keras.Model:
    """The model that was trained into a folder. Raises: FileNotFoundError, InputError where it doesn't fit."""
    model = build(spec, seed=0)
    assign(model.variables, load_weights(run, folder), folder)
    return model


class Predictor:
    """Runs a model without training it; one graph serves every batch and length."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._tokens = model.input.shape[1] is None
        spec = tf.TensorSpec((None, *model.input.shape[1:]), model.input.dtype)
        self._call = tf.function(self._forward, input_signature=[spec])

    def _forward(self, inputs: tf.Tensor) -> tf.Tensor:
        return self._model(inputs, training=False)

    def batch(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Logits float32 [rows, heads, classes] of inputs [rows, length], in one call."""
        logits: NDArray[np.float32] = self._call(tf.constant(inputs)).numpy()
        return logits

    def logits(self, rows: Arrays) -> NDArray[np.float32]:
        """Logits float32 [rows, heads, classes], in the order given.

        Args: rows: `inputs` and `lengths`, as `read_examples` gives them.
        """
        order = np.argsort(rows["lengths"], kind="stable")
        pieces = []
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            inputs = rows["inputs"][chosen]
            if self._tokens:
                inputs = inputs[:, : padded_width(int(rows["lengths"][chosen].max()), inputs.shape[1])]
            pieces.append(self.batch(inputs))
        sorted_logits = np.concatenate(pieces)
        logits = np.empty_like(sorted_logits)
        logits[order] = sorted_logits
        return logits


def probabilities_of(logits_BKC: NDArray[np.float32]) -> NDArray[np.float64]:
    """Prediction of a model: the mean of its heads' softmaxes, [B, C] (Yang et al. 2020, inference)."""
    shifted = logits_BKC.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = (exponentials / exponentials.sum(axis=-1, keepdims=True)).mean(axis=1)
    return probabilities
