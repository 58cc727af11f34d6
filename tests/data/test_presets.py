"""Presets without TensorFlow: their tokenizers, special ids, content, and which tokenizer a job has."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_presets import BERT, ROBERTA_WORDS, WORDS, hugging_face_bert, keras_hub_bert, keras_hub_roberta
from tokenizers import Tokenizer

from raykd.config import Config
from raykd.data.presets import content, load_tokenizer, special_ids, tokenizer_preset
from raykd.errors import InputError
from raykd.loading import parse_config
from raykd.plan import plan


def _ids(preset: Path, *texts: str) -> list[int]:
    return list(load_tokenizer(str(preset)).encode(*texts).ids)


def test_words_alone_make_the_same_tokenizer_as_the_file(tmp_path: Path) -> None:
    whole = hugging_face_bert(tmp_path / "a")
    words = hugging_face_bert(tmp_path / "b", tokenizer_json=False)
    hub = keras_hub_bert(tmp_path / "c")
    expected = [6, 9, 2, 4, 5, 7, 12, 1, 7]  # [CLS] the good food ##s [SEP] no [UNK] [SEP]
    for preset in (whole, words, hub):
        assert _ids(preset, "The good foods", "no thanks") == expected
        ids = special_ids(load_tokenizer(str(preset)), str(preset))
        assert ids == {name: getattr(BERT, name) for name in ids}


def test_a_files_own_padding_and_truncation_are_dropped(tmp_path: Path) -> None:
    preset = hugging_face_bert(tmp_path / "a")
    tokenizer = Tokenizer.from_file(str(preset / "tokenizer.json"))
    tokenizer.enable_padding(length=30)
    tokenizer.enable_truncation(5)
    tokenizer.save(str(preset / "tokenizer.json"))
    assert _ids(preset, "the good food is here") == [6, 9, 2, 4, 10, 11, 7]


def test_case_counts_where_the_preset_says_so(tmp_path: Path) -> None:
    preset = hugging_face_bert(tmp_path / "a", tokenizer_json=False)
    (preset / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    assert _ids(preset, "the Good") == [6, 9, 1, 7]


def test_robertas_pieces_and_its_padding(tmp_path: Path) -> None:
    preset = keras_hub_roberta(tmp_path / "a")
    assert _ids(preset, "good") == [0, ROBERTA_WORDS.index("good"), 2]
    # <s> good </s> </s> b a d </s>
    assert _ids(preset, "good", "bad") == [0, 12, 2, 2, 7, 8, 6, 2]
    ids = special_ids(load_tokenizer(str(preset)), str(preset))
    assert ids == {"pad_id": 1, "unk_id": 3, "cls_id": 0, "sep_id": 2}


def test_other_tokenizers_are_told_in_one_line(tmp_path: Path) -> None:
    preset = hugging_face_bert(tmp_path / "a", tokenizer_json=False)
    (preset / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"preset .*a: found no tokenizer.json, expected a tokenizer.json"):
        load_tokenizer(str(preset))
    (preset / "tokenizer.json").write_text(json.dumps({"class_name": "XLMRobertaTokenizer", "config": {}}))
    with pytest.raises(InputError, match="found XLMRobertaTokenizer, expected"):
        load_tokenizer(str(preset))
    (preset / "tokenizer.json").write_text(json.dumps({"model": {"type": "Nonsense"}}))
    with pytest.raises(InputError, match=r"preset .*a: tokenizer.json: "):
        load_tokenizer(str(preset))
    (preset / "vocab.txt").write_text("\n".join(word for word in WORDS if word != "[SEP]"))
    (preset / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"has no \[SEP\]; expected BERT's special tokens"):
        load_tokenizer(str(preset))


def test_a_generators_tokenizer_is_refused(tmp_path: Path) -> None:
    preset = keras_hub_roberta(tmp_path / "a")
    tokenizer = load_tokenizer(str(preset))
    from tokenizers import processors

    tokenizer.post_processor = processors.ByteLevel()
    with pytest.raises(InputError, match="puts 0 special tokens around a pair"):
        special_ids(tokenizer, str(preset))


def _config(folder: Path, *presets: Path, **data: Any) -> Config:
    models: list[dict[str, Any]] = [{"type": "pretrained", "preset": str(preset)} for preset in presets]
    student = models[0] if models else {"type": "bilstm"}
    return parse_config(
        {
            "storage_path": str(folder / "runs"),
            "data": {"source": "docsqa", **data},
            "teachers": [{"name": f"t{i}", "model": model} for i, model in enumerate(models or [student])],
            "student": {"model": student},
        }
    )


def test_a_job_has_the_tokenizer_that_its_presets_share(tmp_path: Path) -> None:
    first, second = hugging_face_bert(tmp_path / "a"), keras_hub_bert(tmp_path / "b")
    assert tokenizer_preset(_config(tmp_path)) is None
    assert tokenizer_preset(_config(tmp_path, first, second)) == str(first)
    assert tokenizer_preset(_config(tmp_path, first, tokenizer=str(second))) == str(second)
    assert tokenizer_preset(_config(tmp_path, tokenizer=str(second))) == str(second)
    (second / "assets" / "tokenizer" / "vocabulary.txt").unlink()  # As where its pieces are SentencePiece's.
    assert tokenizer_preset(_config(tmp_path, second, tokenizer=str(first))) == str(first)
    roberta = keras_hub_roberta(tmp_path / "c")
    for config in (_config(tmp_path, first, roberta), _config(tmp_path, first, tokenizer=str(roberta))):
        with pytest.raises(InputError, match="found presets with different vocabularies"):
            plan(config)


def test_steps_follow_the_presets_content(tmp_path: Path) -> None:
    preset = hugging_face_bert(tmp_path / "a")
    config = _config(tmp_path, preset)

    def fingerprints() -> dict[str, str]:
        return {step.name: step.fingerprint for step in plan(config)}

    before = fingerprints()
    assert fingerprints() == before
    weights = preset / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    assert fingerprints() == before
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    after = fingerprints()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == set(before) - {"examples"}
    words = json.loads((preset / "tokenizer.json").read_text())
    words["model"]["vocab"]["drink"] = words["model"]["vocab"].pop("more")
    (preset / "tokenizer.json").write_text(json.dumps(words))
    assert fingerprints()["examples"] != after["examples"]


def test_a_folders_content_is_its_files_and_a_names_the_name(tmp_path: Path) -> None:
    preset = hugging_face_bert(tmp_path / "a")
    names = [entry[0] for entry in content(str(preset))]
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    assert content("bert_tiny_en_uncased") == "bert_tiny_en_uncased"
    with pytest.raises(InputError, match="no such folder"):
        content("./nowhere")


def test_without_keras_hub_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = _config(tmp_path, hugging_face_bert(tmp_path / "a"))
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(InputError, match=r"needs KerasHub, but it is not installed; pip install 'raykd\[hub\]'"):
        plan(config)
