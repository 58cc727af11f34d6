"""Keras models of a user's own: as teachers, as students, and together.

Axes: B rows, K heads, C classes.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from raykd.config import CustomModelConfig, Space
from raykd.data.encoding import InputSpec
from raykd.data.staging import tables_of
from raykd.ensemble import average, member_weights
from raykd.errors import InputError
from raykd.train.predict import BATCH, probabilities_of

_SMALLEST = 1e-6  # probability; float16 holds its logarithm
_BODIES: dict[str, keras.Model] = {}

Floats = NDArray[np.float64]


class Predicts(Protocol):
    """Anything that gives probabilities for a batch of inputs."""

    def probabilities(self, inputs: NDArray[Any]) -> Floats:
        """Probabilities [B, C] of inputs [B, ...]."""


class _Predicting(ABC):
    """Prediction for data of any size, a batch at a time."""

    @abstractmethod
    def probabilities(self, inputs: NDArray[Any]) -> Floats:
        """Probabilities [B, C] of inputs [B, ...]."""

    def predict(self, data: Any, column: str | None = None) -> Floats:
        """Probabilities [B, C].

        Args: data: inputs [B, ...], or a data set (Ray's, Hugging Face's, pandas', Arrow's) whose `column` holds them.
        Raises: InputError for another kind of data, or a column that isn't there.
        """
        found = [self.probabilities(inputs) for inputs in _batches(data, column)]
        if not found:
            raise InputError("data: found no row, expected some; fill the data set")
        return np.concatenate(found)


def _batches(data: Any, column: str | None) -> Iterator[NDArray[Any]]:
    if isinstance(data, np.ndarray):
        yield from (data[start : start + BATCH] for start in range(0, len(data), BATCH))
        return
    for table in tables_of(data):
        if column not in table.column_names:
            raise InputError(f"column: found {column}, expected one of {', '.join(table.column_names)}; name it")
        for start in range(0, len(table), BATCH):
            yield np.asarray(table[column].slice(start, BATCH).to_pylist())


class Teacher(_Predicting):
    """A trained Keras model that teaches.

    Args:
        name: in stores and as a head of students.
        model: from inputs [B, ...] to one number per class, [B, C].
        gives: what those numbers are.
    """

    def __init__(self, name: str, model: keras.Model, gives: Literal["logits", "probabilities"] = "logits") -> None:
        if not getattr(model, "outputs", None):
            raise InputError(
                f"teacher {name}: found a model whose outputs are not known yet, expected a functional or built one; "
                "wrap it: inputs = keras.Input(shape); keras.Model(inputs, model(inputs))"
            )
        if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
            shapes = ", ".join(str(output.shape) for output in model.outputs)
            raise InputError(
                f"teacher {name}: gives {shapes}, expected one output [batch, classes]; cut the model there"
            )
        self.name = name
        self.model = model
        self.gives = gives

    @property
    def classes(self) -> int:
        """Numbers that it gives for each row."""
        return int(self.model.outputs[0].shape[-1])

    def logits(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Logits float32 [B, C] of inputs [B, ...]; of probabilities p, log(clip(p, 1e-6, 1))."""
        values = _outputs(self.model, _shaped(inputs, self.model))
        return np.log(np.clip(values, _SMALLEST, 1.0)) if self.gives == "probabilities" else values

    def probabilities(self, inputs: NDArray[Any]) -> Floats:
        """Probabilities [B, C] of inputs [B, ...]."""
        return probabilities_of(self.logits(inputs)[:, None])


class Student(_Predicting):
    """A Keras model that learns: its body, and once `distill` has trained it, the whole.

    Args:
        name: of its folder in stores.
        body: a functional or sequential model from inputs [B, ...] to one vector per row, [B, W]. Training starts from
            a copy with its weights; raykd adds the heads.
        trained: from inputs [B, n] to logits [B, K, C]; None before training.
    """

    def __init__(self, name: str, body: keras.Model, trained: keras.Model | None = None) -> None:
        if len(body.outputs) != 1 or len(body.outputs[0].shape) != 2 or len(body.inputs) != 1:
            shapes = ", ".join(str(output.shape) for output in body.outputs)
            raise InputError(f"student {name}: gives {shapes}, expected one input and one vector per row; cut its head")
        self.name = name
        self.body = body
        self.trained = trained

    def probabilities(self, inputs: NDArray[Any]) -> Floats:
        """Mean of its heads' softmaxes, [B, C], for inputs [B, ...]. Raises: RuntimeError before training."""
        if self.trained is None:
            raise RuntimeError(f"student {self.name} is not trained; give it to raykd.api.distill first")
        inputs = np.asarray(inputs)
        return probabilities_of(_outputs(self.trained, inputs.reshape(len(inputs), math.prod(inputs.shape[1:]))))

    def config(self) -> CustomModelConfig:
        """The body as a model of the configuration, for trainings in this process."""
        digest = hashlib.sha256(self.body.to_json().encode())
        for value in self.body.get_weights():
            digest.update(np.ascontiguousarray(value).tobytes())
        key = digest.hexdigest()
        _BODIES[key] = self.body
        return CustomModelConfig(type=f"{__name__}:body_of", options={"key": key})


def body_of(inputs: InputSpec, key: str) -> keras.Model:
    """A copy of a student's body, weights and all, that reads flat features: what the configuration's `type` names.

    Raises: InputError when its input has another size than an example.
    """
    body = _BODIES[key]
    wanted = body.inputs[0].shape[1:]
    if inputs.kind == "features" and math.prod(size or 0 for size in wanted) != inputs.length:
        raise InputError(
            f"student: reads {tuple(wanted)}, but an example has {inputs.length} numbers; change its Input"
        )
    copy = keras.models.clone_model(body)
    copy.set_weights(body.get_weights())
    if inputs.kind == "tokens":
        ids = keras.Input((None,), dtype=inputs.dtype, name="inputs")
        return keras.Model(ids, copy(ids))
    features = keras.Input((inputs.length,), dtype=inputs.dtype, name="inputs")
    return keras.Model(features, copy(keras.layers.Reshape(wanted)(features)))


def _shaped(inputs: NDArray[Any], model: keras.Model) -> NDArray[Any]:
    """Rows in the shape that the model reads: examples are stored flat."""
    wanted = model.inputs[0].shape[1:]
    known = all(size is not None for size in wanted)
    return inputs.reshape(len(inputs), *wanted) if known and inputs.shape[1:] != tuple(wanted) else inputs


def _outputs(model: keras.Model, rows: NDArray[Any]) -> NDArray[np.float32]:
    """What the model gives for rows, some at a time: all of many don't fit in memory."""
    parts = (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
    found = [np.asarray(model(part, training=False), np.float32) for part in parts]
    return np.concatenate(found) if found else np.zeros((0, *model.output_shape[1:]), np.float32)


class Ensemble(_Predicting):
    """Models that predict together.

    Args:
        members: teachers, students, or anything with `probabilities`.
        weights: one per member, summing to 1; None: equal ones.
        space: what is averaged: probabilities, or logits (their geometric mean).
    """

    def __init__(
        self, members: Sequence[Predicts], weights: Sequence[float] | None = None, space: Space = "probabilities"
    ) -> None:
        if not members or (weights is not None and len(weights) != len(members)):
            found = f"{len(members)} members and {len(weights) if weights is not None else 'equal'} weights"
            raise InputError(f"ensemble: found {found}, expected at least one member, and a weight for each")
        self.members = list(members)
        self.weights = None if weights is None else tuple(weights)
        self.space = space

    def probabilities(self, inputs: NDArray[Any]) -> Floats:
        """Weighted mean of the members' predictions, [B, C]."""
        return average([member.probabilities(inputs) for member in self.members], self.weights, self.space)

    def fitted(self, inputs: NDArray[Any], labels: NDArray[np.int32]) -> "Ensemble":
        """The same members with the weights of the least NLL on labelled rows, such as a store's validation split."""
        predictions = [member.probabilities(inputs) for member in self.members]
        return Ensemble(self.members, member_weights("fitted", predictions, labels, self.space), self.space)
