"""Pretrained bodies: KerasHub's transformers by folder or name, whole or cut by layer.

Readers: the model builder, and the training loop, which draws pretrained weights in place of random ones.

Axes: B batch, L length, W width.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import keras
from keras import ops

from raykd.artifacts import fingerprint
from raykd.config import PretrainedConfig
from raykd.data.encoding import InputSpec
from raykd.data.presets import content, hub, location
from raykd.errors import InputError
from raykd.models.text import MaskedPool, token_mask

ENCODER = "encoder"  # Name of the pretrained part: a model within the model.
_BLOCK = re.compile(r"(?:transformer|disentangled_attention_encoder|f_net)_layer_(\d+)")
_INPUTS = {"token_ids", "padding_mask", "segment_ids"}
_STATES = "sequence_output"


def pretrained(config: PretrainedConfig, inputs: InputSpec) -> keras.Model:
    """Ids [B, L] -> state of the first token beside the mean of all states, [B, 2 * width]; weights still random.

    Raises: InputError when the preset can't be loaded, is no encoder of tokens, or reads fewer or other tokens.
    """
    encoder = _encoder(config, _fitting(config, inputs))
    ids = keras.Input((None,), dtype="int32", name="inputs")
    mask = token_mask(inputs)(ids)
    offered = {
        "token_ids": ids,
        "padding_mask": ops.cast(mask, "int32"),
        "segment_ids": ops.cast(token_mask(inputs, segment=1)(ids), "int32"),
    }
    states = encoder({tensor.name: offered[tensor.name] for tensor in encoder.inputs})
    pooled = keras.layers.Concatenate()([states[:, 0], MaskedPool("mean")(states, mask)])
    return keras.Model(ids, pooled)


def load(model: keras.Model, config: PretrainedConfig) -> None:
    """Give a model with a body of `pretrained` the preset's weights, in float32; its head stays as it is.

    Raises: InputError when they can't be loaded.
    """
    source = {layer.name: layer for layer in _backbone(config.preset, load_weights=True).layers}
    chosen = _chosen(config, len(blocks(source)))
    for layer in model.get_layer(ENCODER).layers:
        if layer.weights:
            place = _place(layer)
            given = source[layer.name] if place is None else blocks(source)[chosen[place]]
            layer.set_weights(given.get_weights())


def blocks(layers: Mapping[str, keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Those of an encoder's layers, by name, that are its transformer blocks, bottom first.

    None for an encoder that applies the same block over and over (ALBERT).
    """
    return sorted(
        (layer for layer in layers.values() if _place(layer) is not None), key=lambda block: _place(block) or 0
    )


def is_block(layer: keras.layers.Layer) -> bool:
    """Whether a layer of an encoder is one of its blocks."""
    return _place(layer) is not None


def _place(layer: keras.layers.Layer) -> int | None:
    found = _BLOCK.fullmatch(layer.name)
    return None if found is None else int(found[1])


def _fitting(config: PretrainedConfig, inputs: InputSpec) -> Mapping[str, Any]:
    """The preset's settings, once they are seen to fit the inputs."""
    kind, settings = _whole(config.preset, fingerprint(content(config.preset)))
    if settings is None:
        raise InputError(
            f"preset {config.preset}: found {kind}, expected an encoder of tokens such as BertBackbone, "
            "RobertaBackbone, DistilBertBackbone or DebertaV3Backbone; choose another preset"
        )
    if (longest := settings.get("max_sequence_length")) is not None and inputs.length > longest:
        raise InputError(
            f"data.max_length: found {inputs.length}, expected at most {longest}, what the preset {config.preset} "
            "reads; lower it"
        )
    if inputs.vocabulary > settings["vocabulary_size"]:
        raise InputError(
            f"data.tokenizer: found {inputs.vocabulary} tokens, but the preset {config.preset} knows "
            f"{settings['vocabulary_size']}; leave it out, to have the preset's own tokenizer"
        )
    depth = settings["num_layers"]
    if not (chosen := _chosen(config, depth)) or max(chosen) >= depth:
        raise InputError(
            f"model.layers: found {config.layers}, but the preset {config.preset} has {depth} layers (0 to "
            f"{depth - 1}); choose among them"
        )
    return {**settings, "num_layers": len(chosen)}


@lru_cache(maxsize=8)
def _whole(preset: str, stamp: str) -> tuple[str, Mapping[str, Any] | None]:
    """Kind and settings of a preset with this content; no settings where it is no encoder of tokens."""
    full = _backbone(preset, load_weights=False)
    names = {tensor.name for tensor in full.inputs}
    encodes = {"token_ids"} <= names <= _INPUTS and hasattr(full, "transformer_layers")
    return type(full).__name__, full.get_config() if encodes else None


def _chosen(config: PretrainedConfig, depth: int) -> tuple[int, ...]:
    """Numbers of the preset's layers that the body has, bottom first."""
    if config.layers is None:
        return tuple(range(depth))
    if config.layers == "every_other":
        return tuple(range(0, depth, 2))
    return tuple(range(config.layers)) if isinstance(config.layers, int) else tuple(config.layers)


def _encoder(config: PretrainedConfig, settings: Mapping[str, Any]) -> keras.Model:
    """From the inputs that KerasHub names to the states of all tokens, [B, L, W], without BERT's pooler."""
    cut = _backbone(config.preset, load_weights=False, num_layers=settings["num_layers"], dropout=config.dropout)
    output = cut.output[_STATES] if isinstance(cut.output, dict) else cut.output
    return keras.Model({tensor.name: tensor for tensor in cut.inputs}, output, name=ENCODER)


def _backbone(preset: str, *, load_weights: bool, **settings: Any) -> Any:
    place = location(preset)
    backbones = hub().models.Backbone
    try:
        return backbones.from_preset(place, load_weights=load_weights, **settings)
    except Exception as error:  # Whatever is wrong with the files: each format's reader raises its own.
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"preset {preset}: KerasHub can't load it ({type(error).__name__}: {reason}); expected config.json and "
            "weights (model.weights.h5 or model.safetensors) of an encoder that it knows"
        ) from error
