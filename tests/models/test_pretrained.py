"""Pretrained bodies: states against a BERT in float64 numpy, layers cut, padding without effect, what is refused."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_presets import (
    BERT,
    LAYERS,
    bert_states,
    hugging_face_bert,
    hugging_face_weights,
    keras_hub_bert,
    keras_hub_roberta,
    pretrained,
)

from raykd.data.encoding import InputSpec
from raykd.data.presets import load_tokenizer, special_ids
from raykd.errors import InputError
from raykd.models.build import HEADS, ModelSpec, build, count_parameters, drawn, flops_per_position
from raykd.models.hidden import HiddenStates
from raykd.models.initialise import from_blocks
from raykd.train.checkpoint import assign, values_of

PAIR = [6, 9, 2, 7, 9, 3, 5, 7]  # [CLS] the good [SEP] the bad ##s [SEP]
SEGMENTS = [0, 0, 0, 0, 1, 1, 1, 1]
IDS = np.array([[*PAIR, 0, 0, 0, 0], [6, 2, 3, 7, 10, 12, 13, 11, 2, 2, 2, 7]], np.int32)


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hugging_face_bert(tmp_path_factory.mktemp("presets") / "hugging_face")


@pytest.fixture(scope="module")
def keras_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keras_hub_bert(tmp_path_factory.mktemp("presets") / "keras_hub")


def _spec(preset: Path, heads: int = 1, **settings: Any) -> ModelSpec:
    return ModelSpec(pretrained(preset, **settings), BERT, classes=3, heads=heads)


def _logits(model: Any, states: np.ndarray) -> np.ndarray:
    """The head's answer to pooled states [W] * 2."""
    head = model.get_layer(HEADS)
    return np.asarray(states @ head.kernel.numpy().astype(np.float64) + head.bias.numpy())


def _pooled(states: np.ndarray) -> np.ndarray:
    return np.concatenate([states[0], states.mean(axis=0)])


def test_a_hugging_face_folder_gives_the_states_of_bert(hugging_face: Path) -> None:
    model = drawn(_spec(hugging_face), seed=1)
    found = np.asarray(model(IDS, training=False))[0, 0]
    states = bert_states(hugging_face_weights(), PAIR, SEGMENTS, LAYERS)
    np.testing.assert_allclose(found, _logits(model, _pooled(states)), rtol=1e-4, atol=1e-5)


def test_the_bottom_layer_alone_and_layers_by_number(hugging_face: Path) -> None:
    model = drawn(_spec(hugging_face, layers=1), seed=1)
    states = bert_states(hugging_face_weights(), PAIR, SEGMENTS, 1)
    found = np.asarray(model(IDS, training=False))[0, 0]
    np.testing.assert_allclose(found, _logits(model, _pooled(states)), rtol=1e-4, atol=1e-5)
    for layers in ("every_other", (0,)):
        other = drawn(_spec(hugging_face, layers=layers), seed=1)
        np.testing.assert_array_equal(other(IDS, training=False), model(IDS, training=False))
    top = drawn(_spec(hugging_face, layers=(1,)), seed=1)
    weights = hugging_face_weights()
    moved = {name.replace("layer.1", "layer.0"): value for name, value in weights.items() if "layer.0" not in name}
    states = bert_states(moved, PAIR, SEGMENTS, 1)
    found = np.asarray(top(IDS, training=False))[0, 0]
    np.testing.assert_allclose(found, _logits(top, _pooled(states)), rtol=1e-4, atol=1e-5)


def test_the_seed_draws_the_head_alone(keras_hub: Path) -> None:
    first, second = drawn(_spec(keras_hub), 1), drawn(_spec(keras_hub), 2)
    for one, other in zip(first.weights[:-2], second.weights[:-2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first.get_layer(HEADS).kernel, second.get_layer(HEADS).kernel)


def test_padding_changes_nothing(tmp_path: Path, keras_hub: Path) -> None:
    roberta = keras_hub_roberta(tmp_path / "roberta")
    tokenizer = load_tokenizer(str(roberta))
    special = special_ids(tokenizer, str(roberta))
    inputs = InputSpec("tokens", 12, "int32", tokenizer.get_vocab_size(), 4, **special)
    pair = [0, 12, 2, 2, 12, 7, 2]
    for spec, row in ((ModelSpec(pretrained(roberta), inputs, 2), pair), (_spec(keras_hub), PAIR)):
        model = drawn(spec, seed=3)
        padded = [*row, *[spec.inputs.pad_id] * 4]
        short, long = (np.asarray(model(np.array([ids], np.int32), training=False)) for ids in (row, padded))
        np.testing.assert_allclose(short, long, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_reach_every_weight_in_bfloat16_too(keras_hub: Path, compiled: bool) -> None:
    import tensorflow as tf

    model = build(_spec(keras_hub, heads=2), 1, "mixed_bfloat16")

    @tf.function(jit_compile=compiled)
    def gradient() -> Any:
        sources = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(IDS, training=True)))
        return [tf.convert_to_tensor(part) for part in tape.gradient(loss, sources)]

    assert model(IDS).shape == (2, 2, 3)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    for part, variable in zip(gradient(), model.trainable_variables, strict=True):
        # A key's bias adds the same to all scores of a query, so that the softmax doesn't see it.
        assert np.abs(part).max() > 0 or variable.path.endswith("key/bias"), variable.path


def test_a_student_starts_from_a_trained_teachers_blocks(keras_hub: Path) -> None:
    teacher, student = _spec(keras_hub), _spec(keras_hub, heads=2, layers=1)
    trained = drawn(teacher, seed=4)
    rng = np.random.default_rng(7)
    for weight in trained.weights:
        weight.assign(rng.normal(size=weight.shape))
    fresh = drawn(student, seed=5)
    model = build(student, seed=6)
    values = from_blocks(teacher, values_of(trained.variables), student, values_of(fresh.variables), [1])
    assign(model.variables, values, "test")
    given, taken = (one.get_layer("encoder") for one in (trained, model))
    for name in ("token_embedding", "embeddings_layer_norm"):
        for old, new in zip(given.get_layer(name).weights, taken.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(old, new)
    block, own = given.get_layer("transformer_layer_1"), taken.get_layer("transformer_layer_0")
    for old, new in zip(block.weights, own.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(model.get_layer(HEADS).kernel[:, :3], trained.get_layer(HEADS).kernel)
    with pytest.raises(InputError, match="reads block 2 of a teacher that has 2"):
        from_blocks(teacher, values_of(trained.variables), student, values_of(fresh.variables), [2])


def test_hidden_states_are_the_encoders(hugging_face: Path) -> None:
    hidden = HiddenStates(drawn(_spec(hugging_face), seed=1))(IDS, training=False)
    states = bert_states(hugging_face_weights(), PAIR, SEGMENTS, LAYERS)
    np.testing.assert_allclose(np.asarray(hidden.states)[0, : len(PAIR)], states, rtol=1e-4, atol=1e-4)
    assert np.asarray(hidden.mask).sum(axis=1).tolist() == [len(PAIR), 12]


def test_look_up_tables_cost_no_computing(keras_hub: Path) -> None:
    width, block = 16, 4 * 16 * 17 + 2 * 2 * 16 * 16 + 32 + 16 + 4 * 16
    tables, norm, head = (14 + 40 + 2) * width, 2 * width, (2 * width + 1) * 3
    assert count_parameters(_spec(keras_hub)) == tables + norm + 2 * block + head
    assert flops_per_position(_spec(keras_hub)) == 2 * (norm + 2 * block + head)


def _error(preset: Any, inputs: InputSpec = BERT, **settings: Any) -> str:
    with pytest.raises(InputError) as error:
        drawn(ModelSpec(pretrained(preset, **settings), inputs, 2), seed=0)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_bad_presets_are_told_in_one_line(tmp_path: Path, hugging_face: Path) -> None:
    assert "no such folder; expected one in the KerasHub or Hugging Face format" in _error(tmp_path / "none")
    assert "KerasHub can't load it" in _error("no_preset_of_this_name")
    (tmp_path / "empty").mkdir()
    assert "expected config.json and weights" in _error(tmp_path / "empty")
    damaged = hugging_face_bert(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:500])
    assert "damaged: KerasHub can't load it (SafetensorError" in _error(damaged)
    assert "has 2 layers (0 to 1); choose among them" in _error(hugging_face, layers=3)
    assert "found (0, 2), but" in _error(hugging_face, layers=[0, 2])
    assert "data.max_length: found 41, expected at most 40" in _error(
        hugging_face, InputSpec("tokens", 41, "int32", 14)
    )
    assert "data.tokenizer: found 15 tokens, but" in _error(hugging_face, InputSpec("tokens", 12, "int32", 15))
    assert "pretrained can't read features" in _error(hugging_face, InputSpec("features", 12, "float32"))


def test_without_keras_hub_one_line_names_the_remedy(hugging_face: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    assert "pip install 'raykd[hub]'" in _error(hugging_face, layers=1, dropout=0.2)
