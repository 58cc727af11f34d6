"""Encoding of raw rows into model inputs: WordPiece ids for text, numbers for features."""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PAD_ID, UNK_ID, CLS_ID, SEP_ID = 0, 1, 2, 3
_ALPHABET = 200  # characters; others become [UNK]
_TEXTS_AT_ONCE, _CHARACTERS_AT_ONCE = 1000, 1 << 20  # that are counted
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@dataclass(frozen=True)
class InputSpec:
    """What a model reads.

    kind "tokens": int32 [length], padded with `pad_id`: `[CLS] text [SEP]` or `[CLS] query [SEP] passage [SEP]`.
    Batches of tokens are padded to a multiple of `bucket`, so that there are few shapes.
    kind "features": `dtype` [length]; uint8 stands for 0..255 and is scaled to 0..1 in the model. An image has its
    rows one after the other, and the `channels` of a pixel side by side.
    """

    kind: Literal["tokens", "features"]
    length: int
    dtype: str
    vocabulary: int = 0
    bucket: int = 1
    channels: int = 1
    pad_id: int = PAD_ID
    unk_id: int = UNK_ID
    cls_id: int = CLS_ID
    sep_id: int = SEP_ID

    @property
    def side(self) -> int | None:
        """Pixels along each side, if the features can be a square image."""
        side = math.isqrt(self.length // self.channels)
        return side if side * side * self.channels == self.length else None

    @property
    def no_words(self) -> tuple[int, ...]:
        """Ids that stand for no word of a text."""
        return self.pad_id, self.unk_id, self.cls_id, self.sep_id

    def width(self, longest: int) -> int:
        """Columns of a batch whose longest row has `longest` numbers or ids."""
        return min(-(-longest // self.bucket) * self.bucket, self.length)


def bert_tokenizer(model: models.Model, *, lowercase: bool = True) -> Tokenizer:
    """BERT's tokenizer around a model of its words."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _alphabet(texts: Iterable[str]) -> list[str]:
    """The most frequent characters of the normalised texts, sorted."""
    normalizer = normalizers.BertNormalizer(lowercase=True)
    found = np.zeros(sys.maxunicode + 1, np.int64)
    left = iter(texts)
    while some := list(islice(left, _TEXTS_AT_ONCE)):
        joined = "".join(some)
        for start in range(0, len(joined), _CHARACTERS_AT_ONCE):
            codes = np.frombuffer(joined[start : start + _CHARACTERS_AT_ONCE].encode("utf-32-le"), np.uint32)
            found += np.bincount(codes, minlength=len(found))
    counts: Counter[str] = Counter()
    for code in np.flatnonzero(found):  # What becomes of one doesn't depend on its neighbours.
        for normalised in normalizer.normalize_str(chr(code)):
            counts[normalised] += int(found[code])
    common = sorted((character for character in counts if not character.isspace()), key=lambda c: (-counts[c], c))
    return sorted(common[:_ALPHABET])


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_length: int) -> Tokenizer:
    """A lower-casing WordPiece tokenizer (BERT's kind) that truncates a text or pair to `max_length` ids.

    Equal texts give an equal vocabulary, every time. Args: texts: read twice.
    """
    alphabet = _alphabet(texts)
    # The trainer numbers its alphabet in the order of a hash map, so that ties between merges fall out
    # differently in every run; letters that are given to it as special tokens keep their numbers.
    letters = [f"##{letter}" for letter in alphabet]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        special_tokens=[*SPECIAL_TOKENS, *letters],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    learner = bert_tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.train_from_iterator(texts, trainer)
    tokenizer = bert_tokenizer(models.WordPiece(learner.get_vocab(), unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", CLS_ID), ("[SEP]", SEP_ID)],
    )
    tokenizer.enable_truncation(max_length)
    return tokenizer


def encode_texts(tokenizer: Tokenizer, columns: Sequence[Sequence[str]]) -> list[NDArray[np.int32]]:
    """Ids of each row; one column of texts, or two for pairs."""
    rows: list[str] | list[tuple[str, str]]
    rows = list(columns[0]) if len(columns) == 1 else list(zip(columns[0], columns[1], strict=True))
    return [np.asarray(encoding.ids, np.int32) for encoding in tokenizer.encode_batch_fast(rows)]


def encode_rows(
    tokenizer: Tokenizer, columns: Sequence[Sequence[str]], truncation: str, max_length: int
) -> tuple[list[NDArray[np.int32]], int]:
    """Ids of each row, at most `max_length`, and how many rows were cut.

    Args: truncation: of pairs, `longest_first` or `only_second`: the query stays whole, but for one that leaves no room
    for a token of its passage; that pair is cut `longest_first`.
    """
    rows: list[Any] = list(columns[0]) if len(columns) == 1 else list(zip(columns[0], columns[1], strict=True))
    tokenizer = Tokenizer.from_str(tokenizer.to_str())  # The caller's keeps its settings.
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    encodings = tokenizer.encode_batch_fast(rows)
    ids = [encoding.ids for encoding in encodings]
    cut = [row for row, encoding in enumerate(encodings) if encoding.overflowing]
    if len(columns) == 2 and truncation == "only_second":
        room = max_length - tokenizer.num_special_tokens_to_add(is_pair=True)
        tokenizer.no_truncation()
        queries = tokenizer.encode_batch_fast([columns[0][row] for row in cut], add_special_tokens=False)
        # A query of at most half the room has stayed whole as it is.
        whole = [row for row, query in zip(cut, queries, strict=True) if room // 2 < len(query.ids) < room]
        tokenizer.enable_truncation(max_length, strategy="only_second")
        for row, encoding in zip(whole, tokenizer.encode_batch_fast([rows[row] for row in whole]), strict=True):
            ids[row] = encoding.ids
    return [np.asarray(found, np.int32) for found in ids], len(cut)
