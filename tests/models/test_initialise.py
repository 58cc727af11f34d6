"""Students that start from a teacher's blocks: which values they take over, and that they then predict as it does."""

from typing import Any

import numpy as np
import pytest

from raykd.config import BiEncoderConfig, BiLSTMConfig, CrossEncoderConfig, ModelConfig
from raykd.data.encoding import InputSpec
from raykd.models.build import ModelSpec, build
from raykd.models.initialise import Values, from_blocks
from raykd.models.transformer import TransformerBlock
from raykd.train.checkpoint import assign, values_of

TOKENS = InputSpec("tokens", length=16, dtype="int32", vocabulary=60)
IDS = np.array([[2, 10, 11, 3, 11, 12, 3, 0], [2, 10, 3, 13, 3, 0, 0, 0]], np.int32)

CONFIGS: list[ModelConfig] = [
    CrossEncoderConfig(type="cross_encoder", layers=2, width=8),
    BiEncoderConfig(type="bi_encoder", layers=2, width=8),
    BiLSTMConfig(type="bilstm", layers=2, width=4),
]


def _spec(config: ModelConfig, heads: int = 1) -> ModelSpec:
    return ModelSpec(config, TOKENS, classes=3, heads=heads)


def _scattered(spec: ModelSpec, seed: int) -> Any:
    """A model none of whose values, the biases and norms included, equals another."""
    model = build(spec, seed)
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape))
    return model


def _loaded(spec: ModelSpec, values: Values) -> Any:
    model = build(spec, seed=3)
    assign(model.variables, values, "test")
    return model


@pytest.mark.parametrize("config", CONFIGS)
def test_all_blocks_give_the_teachers_logits_from_the_golden_head(config: Any) -> None:
    teacher, drawn = _scattered(_spec(config), 1), build(_spec(config, heads=3), 2)
    given, own = values_of(teacher.variables), values_of(drawn.variables)
    values = from_blocks(_spec(config), given, _spec(config, heads=3), own, range(config.layers))
    student = _loaded(_spec(config, heads=3), values)
    np.testing.assert_array_equal(student(IDS, training=False)[:, 0], teacher(IDS, training=False)[:, 0])
    soft, fresh = (model.get_layer("heads").kernel.numpy()[:, 3:] for model in (student, drawn))
    np.testing.assert_array_equal(soft, fresh)


def _blocks(model: Any) -> list[list[Any]]:
    return [
        [weight.numpy() for weight in layer.weights] for layer in model.layers if isinstance(layer, TransformerBlock)
    ]


def test_chosen_blocks_and_nothing_else() -> None:
    config = CrossEncoderConfig(type="cross_encoder", layers=4, width=8)
    small = _spec(config.model_copy(update={"layers": 2}))
    teacher = _scattered(_spec(config), 1)
    values = from_blocks(
        _spec(config), values_of(teacher.variables), small, values_of(build(small, 2).variables), [3, 1]
    )
    student = _loaded(small, values)
    for taken, given in zip(_blocks(student), [_blocks(teacher)[3], _blocks(teacher)[1]], strict=True):
        assert len(taken) == 12  # Two norms, four dense layers, two arrays each.
        for mine, theirs in zip(taken, given, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_dropouts_generators_stay_the_students_and_given_values_as_they_were() -> None:
    spec = _spec(CrossEncoderConfig(type="cross_encoder", layers=1, width=8))
    teacher, drawn = (values_of(build(spec, seed).variables) for seed in (1, 2))
    before = [value.copy() for value in drawn]
    values = from_blocks(spec, teacher, spec, drawn, [0])
    assert all(np.array_equal(old, new) for old, new in zip(before, drawn, strict=True))
    [state] = [place for place, value in enumerate(drawn) if value.dtype != np.float32]
    assert np.array_equal(values[state], drawn[state])
    assert not np.array_equal(teacher[state], drawn[state])
