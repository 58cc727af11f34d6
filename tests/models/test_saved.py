"""Saved models as ready teachers: their logits, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykd.config import SavedConfig
from raykd.data.encoding import InputSpec
from raykd.errors import InputError
from raykd.models.build import ModelSpec, build, count_parameters

PIXELS = InputSpec("features", length=4, dtype="uint8")
TOKENS = InputSpec("tokens", length=8, dtype="int32", vocabulary=20, bucket=4)
ROWS = np.array([[0, 255, 3, 1], [9, 8, 7, 6]], np.uint8)


def _saved(path: Path, shape: tuple[int | None, ...], classes: int = 3, activation: str | None = None) -> Any:
    import keras

    keras.utils.set_random_seed(5)
    read = keras.Input(shape)
    if shape == (None,):
        states = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 6)(read))
    else:
        states = keras.layers.Flatten()(read)
    states = keras.layers.Dense(5, activation="tanh", name="hidden")(states / 16)
    model = keras.Model(read, keras.layers.Dense(classes, activation=activation)(states))
    model.get_layer("hidden").trainable = False
    model.save(path)
    return model


def _spec(path: Path, inputs: InputSpec = PIXELS, outputs: str = "logits", classes: int = 3) -> ModelSpec:
    return ModelSpec(SavedConfig(type="saved", path=str(path), outputs=outputs), inputs, classes)


def test_logits_are_the_models_own_on_rows_as_they_are_stored(tmp_path: Path) -> None:
    for shape in ((4,), (2, 2, 1)):
        own = _saved(tmp_path / "m.keras", shape)
        model = build(_spec(tmp_path / "m.keras"), seed=9)
        expected = own(ROWS.astype(np.float32).reshape(2, *shape), training=False)
        np.testing.assert_allclose(model(ROWS, training=False)[:, 0], expected, rtol=1e-6)
    assert count_parameters(_spec(tmp_path / "m.keras")) == 5 * 5 + 6 * 3  # the frozen layer's too


def test_probabilities_become_their_logarithms(tmp_path: Path) -> None:
    own = _saved(tmp_path / "m.keras", (4,), activation="softmax")
    model = build(_spec(tmp_path / "m.keras", outputs="probabilities"), seed=9)
    expected = np.log(np.asarray(own(ROWS.astype(np.float32), training=False)))
    np.testing.assert_allclose(model(ROWS, training=False)[:, 0], expected, rtol=1e-5)


def test_a_model_of_any_number_of_tokens(tmp_path: Path) -> None:
    own = _saved(tmp_path / "m.keras", (None,))
    model = build(_spec(tmp_path / "m.keras", TOKENS), seed=9)
    ids = np.array([[2, 5, 3, 0]], np.int32)
    np.testing.assert_allclose(model(ids, training=False)[:, 0], own(ids, training=False), rtol=1e-6)


def _error(spec: ModelSpec) -> str:
    with pytest.raises(InputError) as error:
        build(spec, seed=0)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_does_not_fit_is_told_in_one_line(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "m.keras"
    assert "no such file; expected a model that Keras saved as .keras" in _error(_spec(path))
    path.write_bytes(b"PK nonsense")
    assert "Keras can't load it in safe mode (ValueError: no zip archive, as a .keras file is)" in _error(_spec(path))
    _saved(path, (4,))
    assert "outputs [(None, 3)], expected one input and one output (None, 2)" in _error(_spec(path, classes=2))
    five = InputSpec("features", length=5, dtype="float32")
    assert "its input is (None, 4), but the examples have features of length 5" in _error(_spec(path, five))
    _saved(path, (8,))
    assert "padded to multiples of 4 (data.bucket)" in _error(_spec(path, TOKENS))
    read = keras.Input((4,))
    keras.Model(read, keras.layers.Dense(3)(keras.layers.Lambda(lambda x: x * 2)(read))).save(path)
    assert "without Lambda layers" in _error(_spec(path))
