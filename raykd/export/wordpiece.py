"""The tokenizer as a TensorFlow graph, so that a SavedModel reads raw texts: ids equal to those of `tokenizers`.

Lower-casing, accents and splitting work character by character in BERT's scheme, so one table per character, read off
the tokenizer itself, stands for them. Each word is then cut greedily into the longest pieces of the vocabulary
(Wu et al. 2016, section 4.1, as BERT applies it), all letters of a batch at once: first the longest piece that
starts at each letter, by walking down a trie, then the chain of pieces from each word's start.

Axes: B texts, N letters of all texts in a row, S states of the trie.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from raykd.data.encoding import CLS_ID, PAD_ID, SEP_ID, SPECIAL_TOKENS, UNK_ID, InputSpec

_SPACE, _UNKNOWN, _UNKNOWN_PUNCTUATION, _FIRST = 0, 1, 2, 3  # letters; those of the vocabulary follow
_PAGE = 256  # characters
_CHARACTERS = 0x110000
_SURROGATES = range(0xD800, 0xE000)
_PRIVATE = 0xF0000  # characters that stand for special tokens written out in a text
_LONGEST_WORD = 100  # letters; a longer word is unknown
_NONE = -1

Tensor = Any
Encode = Callable[[Sequence[Tensor]], Tensor]


def text_encoder(tokenizer: Tokenizer, inputs: InputSpec) -> Encode:
    """A function for a graph: one string tensor [B] per text of a row to ids int32 [B, L], padded as in training."""
    pieces = _Pieces(tokenizer)

    def encode(columns_B: Sequence[Tensor]) -> Tensor:
        tokens = [pieces(texts_B) for texts_B in columns_B]
        kept = _truncated([one.row_lengths() for one in tokens], inputs.length - 1 - len(tokens))
        rows = tf.shape(tokens[0].row_lengths())[0]
        parts = [_column(CLS_ID, rows)]
        for one, lengths_B in zip(tokens, kept, strict=True):
            stays = _place_in_row(one) < tf.gather(lengths_B, one.value_rowids())
            parts += [tf.ragged.boolean_mask(one, one.with_values(stays)), _column(SEP_ID, rows)]
        ids = tf.concat(parts, axis=1)
        longest = tf.cast(tf.reduce_max(ids.row_lengths()), tf.int32)
        width = tf.minimum(-(-longest // inputs.bucket) * inputs.bucket, inputs.length)
        padded_BL = ids.to_tensor(PAD_ID)
        return tf.pad(padded_BL, [[0, 0], [0, width - tf.shape(padded_BL)[1]]])

    return encode


def _column(token: int, rows: Tensor) -> Tensor:
    return tf.RaggedTensor.from_tensor(tf.fill([rows, 1], token))


def _place_in_row(ragged: Tensor) -> Tensor:
    return tf.range(tf.shape(ragged.values, tf.int64)[0]) - tf.gather(ragged.row_starts(), ragged.value_rowids())


def _truncated(lengths: list[Tensor], room: int) -> list[Tensor]:
    """How many tokens of each text stay: of a pair the longer one gives first, then both to equal parts."""
    if len(lengths) == 1:
        return [tf.minimum(lengths[0], room)]
    first, second = lengths
    shorter = tf.minimum(first, second)
    fits = shorter <= room - shorter
    shorter_kept = tf.where(fits, shorter, room // 2)
    longer_kept = tf.where(fits, room - shorter, room - room // 2)
    too_long = first + second > room
    return [
        tf.where(too_long, tf.where(first > second, longer_kept, shorter_kept), first),
        tf.where(too_long, tf.where(first > second, shorter_kept, longer_kept), second),
    ]


class _Pieces:
    """Texts [B] to the ids of their pieces, ragged [B, any], without special tokens around them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        vocabulary = tokenizer.get_vocab()
        letters = _letters(vocabulary)
        self._pages, self._page_of, self._spelled, self._alone = _character_tables(letters)
        self._trie = _Trie(vocabulary, letters)

    def __call__(self, texts_B: Tensor) -> Tensor:
        for number, token in enumerate(SPECIAL_TOKENS):
            texts_B = tf.strings.regex_replace(texts_B, re.escape(token), chr(_PRIVATE + number))
        characters = tf.strings.unicode_decode(texts_B, "UTF-8")
        pages = tf.gather(self._page_of, characters.values // _PAGE)
        kinds = tf.cast(tf.gather_nd(self._pages, tf.stack([pages, characters.values % _PAGE], axis=1)), tf.int32)
        spelled = tf.gather(self._spelled, kinds)  # up to three letters for a character
        rows = tf.repeat(characters.value_rowids(), spelled.shape[1])
        there = tf.reshape(spelled, [-1]) != _NONE
        letters_N, rows_N = tf.boolean_mask(tf.reshape(spelled, [-1]), there), tf.boolean_mask(rows, there)
        ids_N, is_piece_N = self._cut(letters_N, rows_N)
        return tf.RaggedTensor.from_value_rowids(
            tf.boolean_mask(ids_N, is_piece_N), tf.boolean_mask(rows_N, is_piece_N), tf.shape(texts_B, tf.int64)[0]
        )

    def _cut(self, letters_N: Tensor, rows_N: Tensor) -> tuple[Tensor, Tensor]:
        """The id of the piece at each letter, and whether a piece starts there."""
        count = tf.shape(letters_N)[0]
        place_N = tf.range(count)
        word_N = letters_N != _SPACE
        alone_N = tf.gather(self._alone, letters_N)
        joined_N = tf.concat(
            [[False], word_N[:-1] & word_N[1:] & ~alone_N[:-1] & ~alone_N[1:] & (rows_N[1:] == rows_N[:-1])], axis=0
        )[:count]
        starts_N = word_N & ~joined_N
        number_N = tf.cumsum(tf.cast(~joined_N, tf.int32)) - 1  # of the word, or of the space
        sizes = tf.math.bincount(number_N)
        ends_N = tf.gather(tf.cumsum(sizes), number_N)
        ids_N, lengths_N = self._trie.longest(letters_N, starts_N, ends_N)
        is_piece_N = _chain(tf.boolean_mask(place_N, starts_N), lengths_N, ends_N, count)
        bad_N = is_piece_N & (lengths_N == 0)
        bad = tf.math.unsorted_segment_max(tf.cast(bad_N, tf.int32), number_N, tf.shape(sizes)[0]) > 0
        unknown_N = tf.gather(bad | (sizes > _LONGEST_WORD), number_N) & word_N
        return tf.where(unknown_N, UNK_ID, ids_N), tf.where(unknown_N, starts_N, is_piece_N)


def _chain(frontier: Tensor, lengths_N: Tensor, ends_N: Tensor, count: Tensor) -> Tensor:
    """Where pieces start: at the start of each word, then where each piece ends, until a word ends or no piece fits."""

    def step(places: Tensor, marked_N: Tensor) -> tuple[Tensor, Tensor]:
        marked_N = tf.tensor_scatter_nd_update(marked_N, places[:, None], tf.ones_like(places, tf.bool))
        lengths = tf.gather(lengths_N, places)
        goes_on = (lengths > 0) & (places + lengths < tf.gather(ends_N, places))
        return tf.boolean_mask(places + lengths, goes_on), marked_N

    _, marked_N = tf.while_loop(
        lambda places, _: tf.size(places) > 0,
        step,
        (frontier, tf.zeros([count], tf.bool)),
        (tf.TensorShape([None]), tf.TensorShape([None])),
    )
    return marked_N


class _Trie:
    """The vocabulary's pieces by their letters: those that start a word below state 0, those within one below 1."""

    def __init__(self, vocabulary: dict[str, int], letters: dict[str, int]) -> None:
        self._alphabet = len(letters) + _FIRST
        edges: dict[int, int] = {}
        tokens = [_NONE, _NONE]
        for token, number in vocabulary.items():
            special = token in SPECIAL_TOKENS
            state = int(token.startswith("##") and len(token) > 2 and not special)
            for letter in [token] if special else token[2:] if state else token:
                edge = state * self._alphabet + letters[letter]
                if edge not in edges:
                    edges[edge] = len(tokens)
                    tokens.append(_NONE)
                state = edges[edge]
            tokens[state] = number
        keys = np.array(sorted(edges), np.int64)
        self._keys = keys
        self._states = np.array([edges[int(key)] for key in keys], np.int32)
        self._tokens_S = np.array(tokens, np.int32)

    def longest(self, letters_N: Tensor, starts_N: Tensor, ends_N: Tensor) -> tuple[Tensor, Tensor]:
        """Id and number of letters of the longest piece that starts at each letter; 0 letters where there is none."""
        count = tf.shape(letters_N)[0]

        def step(places: Tensor, states: Tensor, at: Tensor, ids_N: Tensor, lengths_N: Tensor) -> tuple[Tensor, ...]:
            keys = tf.cast(states, tf.int64) * self._alphabet + tf.cast(tf.gather(letters_N, places + at), tf.int64)
            found = tf.searchsorted(self._keys, keys)
            found = tf.minimum(found, len(self._keys) - 1)
            alive = tf.gather(self._keys, found) == keys
            places, states = tf.boolean_mask(places, alive), tf.gather(self._states, tf.boolean_mask(found, alive))
            tokens = tf.gather(self._tokens_S, states)
            whole = tokens != _NONE
            where = tf.boolean_mask(places, whole)[:, None]
            ids_N = tf.tensor_scatter_nd_update(ids_N, where, tf.boolean_mask(tokens, whole))
            lengths_N = tf.tensor_scatter_nd_update(lengths_N, where, tf.fill(tf.shape(where)[:1], at + 1))
            goes_on = places + at + 1 < tf.gather(ends_N, places)
            return tf.boolean_mask(places, goes_on), tf.boolean_mask(states, goes_on), at + 1, ids_N, lengths_N

        any_length = tf.TensorShape([None])
        *_, ids_N, lengths_N = tf.while_loop(
            lambda places, *_: tf.size(places) > 0,
            step,
            (
                tf.range(count),
                tf.cast(~starts_N, tf.int32),
                tf.constant(0),
                tf.fill([count], UNK_ID),
                tf.zeros([count], tf.int32),
            ),
            (any_length, any_length, tf.TensorShape([]), any_length, any_length),
        )
        return ids_N, lengths_N


def _letters(vocabulary: dict[str, int]) -> dict[str, int]:
    """A number for each character of the pieces, and for each special token as one letter."""
    pieces = [token.removeprefix("##") or token for token in vocabulary if token not in SPECIAL_TOKENS]
    characters = sorted({character for piece in pieces for character in piece})
    return {letter: _FIRST + place for place, letter in enumerate([*SPECIAL_TOKENS, *characters])}


def _character_tables(letters: dict[str, int]) -> tuple[NDArray[Any], ...]:
    """What the tokenizer makes of each character.

    Returns: kinds [pages, 256], page of each 256 characters, up to 3 letters of each kind (-1: none), and whether a
    letter is a word of its own.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    alone = np.zeros(len(letters) + _FIRST, bool)
    alone[_UNKNOWN_PUNCTUATION] = True
    alone[[letters[token] for token in SPECIAL_TOKENS]] = True
    kinds: dict[tuple[int, ...], int] = {}
    table = np.zeros((_CHARACTERS // _PAGE, _PAGE), np.uint16)

    def letter(character: str) -> int:
        if character.isspace() or character == " ":
            return _SPACE
        punctuation = len(splitter.pre_tokenize_str(f"a{character}a")) > 1
        number = letters.get(character, _UNKNOWN_PUNCTUATION if punctuation else _UNKNOWN)
        alone[number] |= punctuation
        return number

    def kind(spelled: Sequence[int]) -> int:
        return kinds.setdefault((*spelled, *[_NONE] * (3 - len(spelled))), len(kinds))

    for page, start in enumerate(range(0, _CHARACTERS, _PAGE)):
        if start in _SURROGATES:
            continue  # No text has them.
        characters = [chr(number) for number in range(start, start + _PAGE)]
        text = "".join(characters)
        plain = normalizer.normalize_str(text) == text and len(splitter.pre_tokenize_str(text)) == 1
        if plain and not any(character in letters for character in characters):
            table[page] = kind([_UNKNOWN])
        else:
            table[page] = [kind([letter(one) for one in normalizer.normalize_str(c)]) for c in characters]
    for number, token in enumerate(SPECIAL_TOKENS):
        table[(_PRIVATE + number) // _PAGE, (_PRIVATE + number) % _PAGE] = kind([letters[token]])
    pages, page_of = np.unique(table, axis=0, return_inverse=True)
    return pages, page_of.reshape(-1).astype(np.int32), np.array(list(kinds), np.int32), alone
