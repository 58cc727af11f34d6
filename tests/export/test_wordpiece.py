"""The tokenizer as a graph gives the ids that `tokenizers` gives."""

import ast
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tokenizers import Tokenizer

from raykd.data.encoding import InputSpec, encode_texts, train_tokenizer
from raykd.export.wordpiece import text_encoder

_LENGTH = 32
_ODD = [
    "", " ", "\t\n", "a", "don't", "naïve Café ÀÉÎ", "漢字かな交じり", "한국어", "ﬁne",
    "İstanbul ẞ Σίσυφος", "\u200bzero\u00a0width",
    "\x00nul\x07", "x" * 100, "x" * 101, "e\u0301" * 60, "[SEP] inside [CLS][MASK] [UNK]x [PAD]", "[sep]", "##s ## #",
    "a_b-c.d(e)", "…—«»„“", "😀 emoji 👩‍👩‍👧", "\ud7ff\ue000\uffff\U0010ffff", "Ⅷ ½ ²", "q" * 40 + " " + "the " * 40,
]  # fmt: skip


def _docstrings(paths: Sequence[str]) -> list[str]:
    trees = [ast.parse(Path(path).read_text()) for path in paths]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [text for node in nodes if (text := ast.get_docstring(node))]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(_docstrings([ast.__file__, random.__file__]), vocabulary=600, max_length=_LENGTH)


Encode = Callable[..., Any]


@pytest.fixture(scope="module")
def encode(tokenizer: Tokenizer) -> Encode:
    inputs = InputSpec("tokens", _LENGTH, "int32", tokenizer.get_vocab_size(), bucket=8)
    return tf.function(text_encoder(tokenizer, inputs), reduce_retracing=True)


def _check(tokenizer: Tokenizer, encode: Encode, *columns: list[str]) -> None:
    expected = encode_texts(tokenizer, columns)
    found = encode([tf.constant(column) for column in columns]).numpy()
    width = min(-(-max(len(row) for row in expected) // 8) * 8, _LENGTH)
    assert found.dtype == np.int32
    assert found.shape == (len(expected), width)
    for text, one, other in zip(zip(*columns, strict=True), expected, found, strict=True):
        padded = np.pad(one, (0, width - len(one)))
        assert padded.tolist() == other.tolist(), text


def test_texts_and_pairs_of_documentation(tokenizer: Tokenizer, encode: Encode) -> None:
    texts = _docstrings([random.__file__, tf.io.__file__])[:60] + _docstrings([pytest.__file__, np.__file__])
    _check(tokenizer, encode, texts)
    _check(tokenizer, encode, texts, texts[::-1])


def test_odd_texts(tokenizer: Tokenizer, encode: Encode) -> None:
    _check(tokenizer, encode, _ODD)
    for shift in range(0, len(_ODD), 5):
        _check(tokenizer, encode, _ODD, _ODD[shift:] + _ODD[:shift])


def test_bytes_that_are_no_text_count_as_an_unknown_character(encode: Encode) -> None:
    found = encode([tf.constant([b"\xff [SEP] the \xc3"])]).numpy()
    assert found.tolist() == encode([tf.constant(["\ufffd [SEP] the \ufffd"])]).numpy().tolist()


def test_random_characters(tokenizer: Tokenizer, encode: Encode) -> None:
    rng = np.random.default_rng(0)
    ranges = [(32, 127), (0, 0x250), (0x250, 0x3000), (0x3000, 0xD800), (0xE000, 0x20000)]
    texts = ["".join(map(chr, rng.integers(*ranges[row % len(ranges)], rng.integers(0, 60)))) for row in range(500)]
    _check(tokenizer, encode, texts)
    _check(tokenizer, encode, texts, texts[::-1])


def test_every_length_of_pair_is_cut_as_ingestion_cuts_it(tokenizer: Tokenizer, encode: Encode) -> None:
    lengths = [(first, second) for first in range(0, 36, 3) for second in range(0, 36, 2)]
    columns = [["a " * pair[column] for pair in lengths] for column in (0, 1)]
    _check(tokenizer, encode, *columns)


def test_only_empty_texts(tokenizer: Tokenizer, encode: Encode) -> None:
    _check(tokenizer, encode, ["", " "])
