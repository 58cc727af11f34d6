"""The model to export: trained models and how they are averaged, as one Keras model from inputs to probabilities.

Axes: B batch, L length of the input, M members, K heads, C classes, P parts (members, or the heads of a single one).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from raykd.artifacts import EVALUATION, EXAMPLES, RunDirectory
from raykd.config import Config, Space
from raykd.data.encoding import InputSpec
from raykd.data.presets import tokenizer_preset
from raykd.data.shards import Arrays, Manifest, read_manifest
from raykd.distill.stages import model_of_step
from raykd.ensemble import Floats, average, tempered
from raykd.evaluate.evaluation import stored_temperature
from raykd.export.choice import folders_of
from raykd.models.build import ModelSpec, build
from raykd.train.checkpoint import assign, load_weights
from raykd.train.predict import Predictor, probabilities_of


@dataclass(frozen=True)
class Servable:
    """Trained models that predict together, or one alone.

    Args:
        folders: of the members, relative to the run directory.
        weights: of the members, summing to 1.
        space: what is averaged.
        temperature: of the final probabilities: p^(1/T), made to sum to 1. A model of one head has softmax(logits / T).
        fields: names of what a row consists of: one or two texts, or a list of numbers.
        tokenizer: of texts, as JSON; None for numbers.
        parts: names of what is averaged: the members, or the heads of a single one; one name where nothing is.
    """

    name: str
    folders: tuple[str, ...]
    specs: tuple[ModelSpec, ...]
    values: tuple[Sequence[NDArray[Any]], ...]
    weights: tuple[float, ...]
    space: Space
    temperature: float
    parts: tuple[str, ...]
    fields: tuple[str, ...]
    tokenizer: str | None
    reads_texts: bool

    @property
    def inputs(self) -> InputSpec:
        """What every member reads."""
        return self.specs[0].inputs

    @property
    def classes(self) -> int:
        """Classes of every member."""
        return self.specs[0].classes

    @property
    def parameters(self) -> int:
        """Numbers in all members' weights, those of normalisation's statistics and random generators too."""
        return sum(value.size for values in self.values for value in values)


def load_servable(config: Config, name: str, run: RunDirectory) -> Servable:
    """The evaluated model of this name with its trained weights.

    Args: config: with the sweep's settings, if there was one.
    Raises: InputError where a part of the run was begun anew since the evaluation.
    """
    manifest = read_manifest(run)
    folders = folders_of(config, name, run)
    run.check_current(*folders, EVALUATION)
    specs = [model_of_step(config, folder, manifest) for folder in folders]
    known = tuple(spec for spec in specs if spec is not None)
    [line] = [model for model in run.read_json(f"{EVALUATION}/models.json")["models"] if model["name"] == name]
    return Servable(
        name=name,
        folders=folders,
        specs=known,
        values=tuple(load_weights(run, folder) for folder in folders),
        weights=tuple(line.get("weights") or (1.0,)),
        space=config.distill.average,
        temperature=stored_temperature(run, folders),
        parts=_parts(config, folders, known, manifest),
        fields=_fields(config, manifest.inputs),
        tokenizer=run.read_bytes(f"{EXAMPLES}/tokenizer.json").decode() if manifest.inputs.kind == "tokens" else None,
        reads_texts=_reads_texts(config, manifest.inputs),
    )


def _reads_texts(config: Config, inputs: InputSpec) -> bool:
    """Whether a graph can encode texts as the run did: with a tokenizer that it trained, cut `longest_first`."""
    own = inputs.kind == "tokens" and tokenizer_preset(config) is None
    return own and (config.data.truncation == "longest_first" or len(_fields(config, inputs)) == 1)


def _fields(config: Config, inputs: InputSpec) -> tuple[str, ...]:
    """The source's columns, or what the built-in sources have."""
    columns = config.data.columns
    if inputs.kind == "features":
        return (columns.features if isinstance(columns.features, str) else "features",)
    return tuple(columns.text or ("query", "passage"))


def _parts(config: Config, folders: Sequence[str], specs: Sequence[ModelSpec], manifest: Manifest) -> tuple[str, ...]:
    if len(folders) > 1:
        return tuple(folder.rpartition("/")[2] for folder in folders)
    heads = specs[0].heads
    if heads == 1:
        return (folders[0].partition("/")[2],)
    golden = () if "train" in manifest.scored_only else ("golden",)
    return (*(f"head {name}" for name in (*golden, *config.teacher_names)),)


def predict(servable: Servable, rows: Arrays) -> Floats:
    """Probabilities [B, C] as the evaluation computes them: what an export is compared with.

    Args: rows: `inputs` and `lengths`, as `Reader.read` gives them.
    """
    members_MBC = [
        probabilities_of(Predictor(spec, values).logits(rows))
        for spec, values in zip(servable.specs, servable.values, strict=True)
    ]
    return tempered(average(members_MBC, servable.weights, servable.space), servable.temperature)


@keras.saving.register_keras_serializable(package="raykd")
class Combination(keras.layers.Layer):
    """Members' logits, one [B, K, C] each, to parts [B, P, C] and probabilities [B, C]."""

    def __init__(self, weights: Sequence[float], space: Space, temperature: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weights_M, self.space, self.temperature = list(weights), space, temperature

    def call(self, logits: Sequence[Any]) -> Any:
        """Combine."""
        heads = [ops.softmax(one, axis=-1) for one in logits]
        members = [ops.mean(one, axis=1) for one in heads]
        parts_BPC = heads[0] if len(heads) == 1 else ops.stack(members, axis=1)
        if self.space == "logits" and len(members) > 1:
            # Of probabilities as of a single head's logits: a mean of heads has no logits but these.
            members = [_log(one) for one in members]
        mean = members[0]
        if len(members) > 1:
            mean = sum(weight * one for weight, one in zip(self.weights_M, members, strict=True))
            mean = ops.softmax(mean, axis=-1) if self.space == "logits" else mean
        if self.temperature != 1.0:
            mean = ops.softmax(_log(mean) / self.temperature, axis=-1)
        return parts_BPC, mean

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        own = {"weights": self.weights_M, "space": self.space, "temperature": self.temperature}
        return {**super().get_config(), **own}


def _log(probabilities: Any) -> Any:
    return ops.log(ops.maximum(probabilities, np.finfo(np.float32).tiny))


def as_keras(servable: Servable, *, length: int | None = None, unrolled: bool = False) -> keras.Model:
    """One model from inputs [B, L] to `probabilities` [B, C] and `parts` [B, P, C].

    Args: length: L is this alone; None: of tokens any up to the longest. unrolled: recurrent layers as plain
    graphs without loops; needs a length.
    """
    bodies = [_body(servable, member, length, unrolled) for member in range(len(servable.specs))]
    inputs = keras.Input(bodies[0].input.shape[1:], dtype=bodies[0].input.dtype, name="inputs")
    combination = Combination(servable.weights, servable.space, servable.temperature, name="combination")
    parts, probabilities = combination([body(inputs) for body in bodies])
    return keras.Model(inputs, {"probabilities": probabilities, "parts": parts})


def _body(servable: Servable, member: int, length: int | None, unrolled: bool) -> keras.Model:
    body = build(servable.specs[member], seed=0)
    assign(body.variables, list(servable.values[member]), servable.folders[member])
    if length is None:
        return body
    for layer in recurrent_layers(body):
        layer.unroll = unrolled
    # The same layers over an input of this length.
    inputs = keras.Input((length,), dtype=body.input.dtype, name="inputs")
    return keras.models.clone_model(body, input_tensors=inputs, clone_function=lambda layer: layer)


def recurrent_layers(model: keras.Model) -> list[keras.layers.RNN]:
    """Layers that step through their input, those within other models and wrappers too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += recurrent_layers(layer)
        elif isinstance(layer, keras.layers.Bidirectional):
            found += [layer.forward_layer, layer.backward_layer]
        elif isinstance(layer, keras.layers.RNN):
            found.append(layer)
    return found
