"""A student's first weights from blocks of a trained teacher (Sanh et al. 2019, section 3).

Reader: the training loop. Values are lists in the order of `model.variables`, as `raykd.train.checkpoint` keeps them.
"""

from collections.abc import Sequence
from typing import Any

import keras
from numpy.typing import NDArray

from raykd.errors import InputError
from raykd.models.build import HEADS, ModelSpec, build
from raykd.models.pretrained import ENCODER, is_block
from raykd.models.transformer import TransformerBlock

Values = list[NDArray[Any]]
_BLOCKS = (TransformerBlock, keras.layers.Bidirectional)


def from_blocks(
    teacher: ModelSpec,
    teacher_values: Sequence[NDArray[Any]],
    student: ModelSpec,
    student_values: Sequence[NDArray[Any]],
    blocks: Sequence[int],
) -> Values:
    """The student's values with those of the teacher's embeddings, chosen blocks, final norm and golden head.

    What the teacher has no counterpart for, soft heads and the states of dropout's generators, stays the student's.
    Layers correspond by their place, not by name.

    Args: blocks: the teacher's block for each of the student's, bottom first. Both models are of one type, width and
    number of attention heads, read the same inputs and know the same classes.
    Raises: InputError where the teacher has no such block.
    """
    given, taken = build(teacher, seed=0), build(student, seed=0)
    given_places, taken_places = _places(given), _places(taken)
    values = list(student_values)
    for old, new in _counterparts(given, taken, blocks):
        for source, target in zip(old.weights, new.weights, strict=True):
            values[taken_places[id(target)]] = teacher_values[given_places[id(source)]]
    for source, target in zip(_head_weights(given), _head_weights(taken), strict=True):
        place = taken_places[id(target)]
        golden = values[place].copy()
        golden[..., : student.classes] = teacher_values[given_places[id(source)]][..., : teacher.classes]
        values[place] = golden
    return values


def _places(model: keras.Model) -> dict[int, int]:
    """Where each variable's value stands in a list of values."""
    return {id(variable): place for place, variable in enumerate(model.variables)}


def _counterparts(
    teacher: keras.Model, student: keras.Model, blocks: Sequence[int]
) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Pairs of the teacher's and the student's layers: the chosen blocks, and all else but the head in order."""
    (below, given), (own, taken) = _body(teacher), _body(student)
    if max(blocks) >= len(given):
        raise InputError(
            f"student.initialise: reads block {max(blocks)} of a teacher that has {len(given)} of them; "
            "choose among them"
        )
    return [*zip(below, own, strict=True), *zip([given[block] for block in blocks], taken, strict=True)]


def _body(model: keras.Model) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
    """Layers with weights, from input to output without the head: those around the blocks, and the blocks."""
    layers = [layer for layer in _layers(model) if layer.weights and layer.name != HEADS]
    around = [layer for layer in layers if not _is_block(layer)]
    return around, [layer for layer in layers if _is_block(layer)]


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """A model's layers, those of a pretrained encoder in its place."""
    return [part for layer in model.layers for part in (layer.layers if layer.name == ENCODER else [layer])]


def _is_block(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, _BLOCKS) or is_block(layer)


def _head_weights(model: keras.Model) -> list[Any]:
    weights: list[Any] = model.get_layer(HEADS).weights
    return weights
