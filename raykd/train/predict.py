"""Prediction with trained weights: logits for rows of any length, in batches of like length and equally many tokens.

Axes: B batch, K heads, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from raykd.data.encoding import InputSpec
from raykd.data.shards import Arrays
from raykd.models.build import ModelSpec, build
from raykd.models.norm import for_kernels
from raykd.train.kept import Kept

BATCH = 256  # rows, where models are compared
_TOKENS = 1 << 14  # of a batch
_NUMBERS = 1 << 22  # of a batch of features: a layer's output may be many times as large
_MOST_ROWS = 2048

_GRAPHS: Kept["_Graph"] = Kept(lambda graph: graph.variables)


class _Graph:
    """A model as a function of its weights: traced once per process, whatever weights it is given.

    XLA doesn't compile it: TensorFlow's kernels are nearly as fast for small models and faster for large ones, on
    processors 1.2 to 1.6 times, and take any number of rows of any width without being compiled anew.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._model = build(spec, seed=0)
        self.variables: list[Any] = self._model.variables
        place = {id(variable): i for i, variable in enumerate(self.variables)}
        self._trainable = [place[id(variable)] for variable in self._model.trainable_variables]
        self._others = [place[id(variable)] for variable in self._model.non_trainable_variables]
        weights = [tf.TensorSpec(variable.shape, variable.dtype) for variable in self.variables]
        inputs = tf.TensorSpec((None, *self._model.input.shape[1:]), self._model.input.dtype)
        # AutoGraph would take longer than the tracing, and there is nothing for it to translate.
        self.call = tf.function(self._forward, input_signature=[weights, inputs], autograph=False)

    def _forward(self, weights: Sequence[tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        trainable = [weights[i] for i in self._trainable]
        others = [weights[i] for i in self._others]
        with for_kernels():
            logits_BKC, _ = self._model.stateless_call(trainable, others, inputs, training=False)
        return logits_BKC


def _graph(spec: ModelSpec) -> _Graph:
    return _GRAPHS.get(spec.key, lambda: _Graph(spec))


class Predictor:
    """A model with certain weights.

    Args: weights: values in the order of `model.variables`, as `load_weights` gives them.
    """

    def __init__(self, spec: ModelSpec, weights: Sequence[Any]) -> None:
        self._graph = _graph(spec)
        self._inputs = spec.inputs
        self._weights = [tf.convert_to_tensor(value) for value in weights]

    def batch(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Logits float32 [rows, heads, classes] of inputs [rows, length], in one call."""
        logits: NDArray[np.float32] = self._graph.call(self._weights, tf.constant(inputs)).numpy()
        return logits

    def logits(self, rows: Arrays) -> NDArray[np.float32]:
        """Logits float32 [rows, heads, classes], in the order given.

        Args: rows: `inputs` and `lengths`, as `Reader.read` gives them.
        """
        lengths = rows["lengths"]
        order = np.argsort(lengths, kind="stable")[::-1]
        pieces, first = [], 0
        while first < len(order):
            width = self._inputs.width(int(lengths[order[first]]))
            chosen = order[first : first + rows_at_once(self._inputs, width)]
            pieces.append(self.batch(rows["inputs"][chosen, :width]))
            first += len(chosen)
        logits = np.empty((len(order), *pieces[0].shape[1:]), np.float32)
        logits[order] = np.concatenate(pieces)
        return logits


def rows_at_once(inputs: InputSpec, width: int) -> int:
    """How many rows of so many tokens or numbers a batch has, so that it fits in memory."""
    numbers = _TOKENS if inputs.kind == "tokens" else _NUMBERS
    return max(1, min(_MOST_ROWS, numbers // width))


def probabilities_of(logits_BKC: NDArray[Any]) -> NDArray[np.float64]:
    """Prediction of a model: the mean of its heads' softmaxes, [B, C] (Yang et al. 2020, inference)."""
    shifted = logits_BKC.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = (exponentials / exponentials.sum(axis=-1, keepdims=True)).mean(axis=1)
    return probabilities
