"""Every model type by name: shapes, determinism, and the marks that the text models read."""

from typing import Any

import numpy as np
import pytest

from raykd.config import (
    BiEncoderConfig,
    BiLSTMConfig,
    CNNConfig,
    CrossEncoderConfig,
    CustomModelConfig,
    MLPConfig,
    ModelConfig,
)
from raykd.data.encoding import InputSpec
from raykd.errors import InputError
from raykd.models.build import ModelSpec, build, count_parameters, flops_per_position
from raykd.models.transformer import matches, segments

TOKENS = InputSpec("tokens", length=16, dtype="int32", vocabulary=60)
PIXELS = InputSpec("features", length=64, dtype="uint8")
IDS = np.array([[2, 10, 11, 3, 11, 12, 3, 0], [2, 10, 3, 13, 3, 0, 0, 0]], np.int32)

CASES: list[tuple[ModelConfig, InputSpec, Any]] = [
    (CrossEncoderConfig(type="cross_encoder", layers=1, width=8), TOKENS, IDS),
    (BiEncoderConfig(type="bi_encoder", layers=1, width=8), TOKENS, IDS),
    (BiLSTMConfig(type="bilstm", width=4), TOKENS, IDS),
    (MLPConfig(type="mlp", hidden=[5]), PIXELS, np.full((2, 64), 255, np.uint8)),
    (CNNConfig(type="cnn", filters=[3], width=4), PIXELS, np.full((2, 64), 255, np.uint8)),
]


@pytest.mark.parametrize(("config", "inputs", "rows"), CASES)
def test_logits_have_heads_and_classes_and_follow_the_seed(config: ModelConfig, inputs: InputSpec, rows: Any) -> None:
    spec = ModelSpec(config, inputs, classes=3, heads=4)
    first, again, other = (build(spec, seed)(rows, training=False).numpy() for seed in (5, 5, 6))
    assert first.shape == (2, 4, 3)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


@pytest.mark.parametrize("case", [0, 1, 2])
def test_padding_changes_nothing(case: int) -> None:
    config, inputs, rows = CASES[case]
    model = build(ModelSpec(config, inputs, classes=2), seed=1)
    wider = np.pad(rows, ((0, 0), (0, 5)))
    np.testing.assert_allclose(model(rows, training=False), model(wider, training=False), atol=1e-5)


def test_segments_and_matches_by_hand() -> None:
    np.testing.assert_array_equal(segments(IDS), [[0, 0, 0, 0, 1, 1, 1, -1], [0, 0, 0, 1, 1, -1, -1, -1]])
    # Only 11 stands in both texts of the first row; separators and padding never match.
    np.testing.assert_array_equal(matches(IDS, segments(IDS)), [[0, 0, 1, 0, 1, 0, 0, 0], [0] * 8])


def test_parameters_of_an_mlp_by_hand() -> None:
    spec = ModelSpec(MLPConfig(type="mlp", hidden=[5]), PIXELS, classes=3, heads=2)
    assert count_parameters(spec) == (64 * 5 + 5) + (5 * 6 + 6)


def test_model_that_cannot_read_the_inputs_is_refused() -> None:
    with pytest.raises(InputError, match="cross_encoder can't read features; expected one of mlp, cnn"):
        build(ModelSpec(CASES[0][0], PIXELS, classes=2), seed=0)


def test_images_must_be_square_for_a_cnn() -> None:
    spec = ModelSpec(CASES[4][0], InputSpec("features", length=10, dtype="float32"), classes=2)
    with pytest.raises(InputError, match="an example has 10 numbers"):
        build(spec, seed=0)


def own_body(inputs: InputSpec, width: int) -> Any:
    import keras

    features = keras.Input((inputs.length,), dtype=inputs.dtype)
    return keras.Model(features, keras.layers.Dense(width)(keras.layers.Rescaling(1.0)(features)))


def test_function_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CustomModelConfig(type=f"{__name__}:own_body", options={"width": 7})
    assert build(ModelSpec(config, PIXELS, classes=2), seed=0).count_params() == 64 * 7 + 7 + 7 * 2 + 2


def test_missing_function_of_the_users_own_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere:nothing.*PYTHONPATH"):
        build(ModelSpec(CustomModelConfig(type="nowhere:nothing"), PIXELS, classes=2), seed=0)
    with pytest.raises(InputError, match=r"os\.path:nothing: os\.path has no function nothing; name one that it has"):
        build(ModelSpec(CustomModelConfig(type="os.path:nothing"), PIXELS, classes=2), seed=0)


def test_flops_count_what_multiplies_and_no_tables() -> None:
    perceptron = ModelSpec(MLPConfig(type="mlp", hidden=[8]), PIXELS, classes=2)
    assert flops_per_position(perceptron) == 2 * (64 * 8 + 8 + 8 * 2 + 2)
    small = ModelSpec(CrossEncoderConfig(type="cross_encoder", layers=1, width=32), TOKENS, classes=2)
    tables = (TOKENS.vocabulary + TOKENS.length + 4) * 32
    assert flops_per_position(small) == 2 * (count_parameters(small) - tables)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(("config", "inputs", "rows"), CASES)
def test_half_precision_predicts_nearly_the_same(
    config: ModelConfig, inputs: InputSpec, rows: Any, precision: str
) -> None:
    spec = ModelSpec(config, inputs, classes=3, heads=2)
    padded = np.concatenate([rows, np.zeros_like(rows[:1])])  # A batch may end with rows of padding alone.
    whole, half = (build(spec, 5, name)(padded, training=False) for name in ("float32", precision))
    assert half.dtype == "float32"
    np.testing.assert_allclose(half.numpy(), whole.numpy(), rtol=0, atol=0.05)
