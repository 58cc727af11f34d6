"""A model from its configuration: body by type, then one head, or a golden head and one per teacher.

Axes: B batch, K heads, C classes.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import keras

from raykd.artifacts import fingerprint
from raykd.config import CustomModelConfig, ModelConfig, PretrainedConfig, SavedConfig
from raykd.data.encoding import InputSpec
from raykd.errors import InputError
from raykd.models import features, pretrained, text
from raykd.models.saved import saved

_TEXT: dict[str, Callable[..., keras.Model]] = {
    "cross_encoder": text.cross_encoder,
    "bi_encoder": text.bi_encoder,
    "bilstm": text.bilstm,
    "pretrained": pretrained.pretrained,
}
_FEATURES: dict[str, Callable[..., keras.Model]] = {"mlp": features.mlp, "cnn": features.cnn}


HEADS = "heads"  # Name of the last layer with weights; head 0 has the first `classes` of its outputs.
_TABLES = (
    "tokens", "positions", "marks",  # of TextEmbedding
    "embeddings", "position_embeddings",  # of pretrained encoders
)  # fmt: skip


@dataclass(frozen=True)
class ModelSpec:
    """All that it takes to build a model: its configuration, its inputs, its outputs."""

    config: ModelConfig
    inputs: InputSpec
    classes: int
    heads: int = 1

    @property
    def key(self) -> str:
        """Equal for models with the same graph."""
        return fingerprint(self.config.model_dump(), asdict(self.inputs), self.classes, self.heads)


def build(spec: ModelSpec, seed: int, precision: str = "float32") -> keras.Model:
    """A model from inputs [B, length] to logits [B, heads, classes], its weights drawn with `seed`.

    Head 0 is the golden head. A saved model comes with its own weights.
    Args: precision: a Keras dtype policy; weights and logits stay float32.
    Raises: InputError when the model can't read these inputs, or a function of the user's own can't be imported
    or returns something else than a body.
    """
    keras.utils.set_random_seed(seed)
    if isinstance(spec.config, SavedConfig):
        return saved(spec.config, spec.inputs, spec.classes)
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        body = _body(spec)
    finally:
        keras.config.set_dtype_policy(usual)
    outputs = keras.layers.Dense(spec.heads * spec.classes, name=HEADS, dtype="float32")(body.output)
    logits_BKC = keras.layers.Reshape((spec.heads, spec.classes), name="logits", dtype="float32")(outputs)
    return keras.Model(body.input, logits_BKC)


def drawn(spec: ModelSpec, seed: int) -> keras.Model:
    """A model as its training starts: weights drawn with `seed`, those of a pretrained body its own.

    Raises: InputError as `build`, or when pretrained weights can't be loaded.
    """
    model = build(spec, seed)
    if isinstance(spec.config, PretrainedConfig):
        pretrained.load(model, spec.config)
    return model


def _body(spec: ModelSpec) -> keras.Model:
    config = spec.config
    if isinstance(config, CustomModelConfig):
        return _custom(config, spec.inputs)
    builders = _TEXT if spec.inputs.kind == "tokens" else _FEATURES
    if config.type not in builders:
        raise InputError(
            f"model.type: {config.type} can't read {spec.inputs.kind}; expected one of {', '.join(builders)}"
        )
    return builders[config.type](config, spec.inputs)


def _custom(config: CustomModelConfig, inputs: InputSpec) -> keras.Model:
    module, _, name = config.type.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"model.type: {config.type}: {error}; put the module on PYTHONPATH") from error
    function: Callable[..., Any] | None = getattr(found, name, None)
    if not callable(function):
        raise InputError(f"model.type: {config.type}: {module} has no function {name}; name one that it has")
    body = function(inputs, **config.options)
    if not isinstance(body, keras.Model) or len(body.outputs) != 1 or len(body.output.shape) != 2:
        raise InputError(
            f"model.type: {config.type} returned {type(body).__name__}, expected a keras.Model from "
            f"[batch, {inputs.length}] to [batch, width]"
        )
    return body


def flops_per_position(spec: ModelSpec) -> int:
    """Floating-point operations of a forward pass at one position: a token, or a row of features.

    Two per weight that multiplies; look-up tables don't, and attention's products are left out (Kaplan et al. 2020,
    section 2.1: C = 2N forward, 6N with the backward pass). A convolution counts once, so it is underestimated.
    """
    weights = build(spec, seed=0).trainable_weights
    multiplied: int = sum(math.prod(weight.shape) for weight in weights if weight.name not in _TABLES)
    return 2 * multiplied


def count_parameters(spec: ModelSpec) -> int:
    """Numbers that training sets."""
    return sum(math.prod(weight.shape) for weight in build(spec, seed=0).trainable_weights)
