"""Tiny presets made at random, 2 layers of width 16, as folders in the formats of Hugging Face and KerasHub."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.config import PretrainedConfig
from raykd.data.encoding import InputSpec

WORDS = ["[PAD]", "[UNK]", "good", "bad", "food", "##s", "[CLS]", "[SEP]", "[MASK]", "the", "is", "here", "no", "more"]
WIDTH, HEADS, LAYERS, LONGEST = 16, 2, 2, 40
BERT = InputSpec("tokens", 12, "int32", len(WORDS), 4, pad_id=0, unk_id=1, cls_id=6, sep_id=7)
ROBERTA_WORDS = ["<s>", "<pad>", "</s>", "<unk>", "g", "o", "d", "b", "a", "Ġ", "oo", "goo", "good", "<mask>"]

Floats = NDArray[np.float64]


def pretrained(preset: Path, **settings: Any) -> PretrainedConfig:
    """A model of a preset, without dropout unless the settings say so."""
    return PretrainedConfig(type="pretrained", preset=str(preset), **{"dropout": 0.0, **settings})


def hugging_face_weights() -> dict[str, NDArray[np.float32]]:
    """Random weights under the names of Hugging Face's BertModel, norms and biases too."""
    rng = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": (LONGEST, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
        "pooler.dense.weight": (WIDTH, WIDTH),
        "pooler.dense.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name, outputs, inputs in (
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", 2 * WIDTH, WIDTH),
            ("output.dense", WIDTH, 2 * WIDTH),
        ):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (outputs, inputs)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (outputs,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (WIDTH,)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (WIDTH,)
    return {name: rng.normal(0.0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def hugging_face_bert(folder: Path, *, tokenizer_json: bool = True) -> Path:
    """A BERT in Hugging Face's format; its words stand in vocab.txt, and in tokenizer.json where asked for."""
    from safetensors.numpy import save_file

    from raykd.data.presets import load_tokenizer

    folder.mkdir()
    settings = {
        "model_type": "bert", "vocab_size": len(WORDS), "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "max_position_embeddings": LONGEST,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    save_file(hugging_face_weights(), folder / "model.safetensors")
    if tokenizer_json:
        load_tokenizer(str(folder)).save(str(folder / "tokenizer.json"))
    return folder


def keras_hub_bert(folder: Path) -> Path:
    """A BERT in KerasHub's format, whose tokenizer is a vocabulary beside its settings."""
    import keras_hub

    _save(_scattered(keras_hub.models.BertBackbone, len(WORDS)), folder)
    _tokenizer(folder, "BertTokenizer", {"lowercase": True}, {"vocabulary.txt": "\n".join(WORDS) + "\n"})
    return folder


def keras_hub_roberta(folder: Path) -> Path:
    """A RoBERTa in KerasHub's format: padding is 1, and two </s> stand between texts."""
    import keras_hub

    _save(_scattered(keras_hub.models.RobertaBackbone, len(ROBERTA_WORDS)), folder)
    words = json.dumps({word: number for number, word in enumerate(ROBERTA_WORDS)})
    files = {"vocabulary.json": words, "merges.txt": "#version: 0.2\no o\ng oo\ngoo d\n"}
    _tokenizer(folder, "RobertaTokenizer", {}, files)
    return folder


def _scattered(kind: Any, vocabulary: int) -> Any:
    backbone = kind(
        vocabulary_size=vocabulary, num_layers=LAYERS, num_heads=HEADS, hidden_dim=WIDTH, intermediate_dim=2 * WIDTH,
        max_sequence_length=LONGEST,
    )  # fmt: skip
    rng = np.random.default_rng(6)
    for weight in backbone.weights:
        weight.assign(rng.normal(0.0, 0.5, weight.shape))
    return backbone


def _save(backbone: Any, folder: Path) -> None:
    backbone.save_to_preset(str(folder))


def _tokenizer(folder: Path, name: str, settings: dict[str, Any], files: dict[str, str]) -> None:
    assets = folder / "assets" / "tokenizer"
    assets.mkdir(parents=True)
    for file, text in files.items():
        (assets / file).write_text(text)
    (folder / "tokenizer.json").write_text(json.dumps({"class_name": name, "config": settings}))


def bert_states(weights: dict[str, NDArray[np.float32]], ids: list[int], segments: list[int], layers: int) -> Floats:
    """Last states of one text without padding, [L, W], in float64: BERT as Devlin et al. 2019 have it, GELU by tanh."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    states = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][segments]
    states = _normed(w, "embeddings.LayerNorm", states + w["embeddings.position_embeddings.weight"][: len(ids)])
    for layer in range(layers):
        place = f"encoder.layer.{layer}"
        query, key, value = (
            _linear(w, f"{place}.attention.self.{name}", states).reshape(len(ids), HEADS, -1).swapaxes(0, 1)
            for name in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        context = (shares @ value).swapaxes(0, 1).reshape(len(ids), WIDTH)
        attended = states + _linear(w, f"{place}.attention.output.dense", context)
        states = _normed(w, f"{place}.attention.output.LayerNorm", attended)
        inner = _linear(w, f"{place}.intermediate.dense", states)
        inner = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
        states = _normed(w, f"{place}.output.LayerNorm", states + _linear(w, f"{place}.output.dense", inner))
    return states


def _linear(w: dict[str, Floats], name: str, states: Floats) -> Floats:
    return states @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _normed(w: dict[str, Floats], name: str, states: Floats) -> Floats:
    centred = states - states.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
