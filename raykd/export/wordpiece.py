"""The tokenizer as a TensorFlow graph, so that a SavedModel reads raw texts: ids equal to those of `tokenizers`.

Lower-casing, accents and splitting work character by character in BERT's scheme, so one table per character, read off
the tokenizer itself, stands for them. Each word is then cut greedily into the longest pieces of the vocabulary
(Wu et al. 2016, section 4.1, as BERT applies it), all words of a batch at once: first the longest piece that starts
each word, by walking down a trie; of words that are more than it, the longest piece at each of the other letters, then
the chain of pieces.

Axes: B texts, N letters of all texts in a row, W words, R letters after the first of words of several pieces.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from raykd.data.encoding import CLS_ID, PAD_ID, SEP_ID, SPECIAL_TOKENS, UNK_ID, InputSpec
from raykd.export.trie import Trie

_SPACE, _UNKNOWN, _UNKNOWN_PUNCTUATION, _FIRST = 0, 1, 2, 3  # letters; those of the vocabulary follow
_PAGE_BITS = 8
_PAGE = 1 << _PAGE_BITS  # characters
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
        rows = tf.shape(columns_B[0])[0]
        together = pieces(tf.concat(columns_B, axis=0))
        tokens = [together[place * rows : (place + 1) * rows] for place in range(len(columns_B))]
        kept = _truncated([one.row_lengths() for one in tokens], inputs.length - 1 - len(tokens))
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


def _with_special_letters(texts_B: Tensor) -> Tensor:
    """The texts with a letter of its own for each special token that is written out, which hardly any has."""

    def replaced() -> Tensor:
        found = texts_B
        for number, token in enumerate(SPECIAL_TOKENS):
            found = tf.strings.regex_replace(found, re.escape(token), chr(_PRIVATE + number))
        return found

    # One search through all is much faster than one per word and token. \C is any byte, even of bad UTF-8.
    any_token = rf"\C*({'|'.join(map(re.escape, SPECIAL_TOKENS))})\C*"
    return tf.cond(tf.strings.regex_full_match(tf.strings.reduce_join(texts_B), any_token), replaced, lambda: texts_B)


class _Pieces:
    """Texts [B] to the ids of their pieces, ragged [B, any], without special tokens around them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        vocabulary = tokenizer.get_vocab()
        letters = _letters(vocabulary)
        self._pages, self._page_of, self._spelled, self._alone = _character_tables(letters)
        self._single = np.where((self._spelled != _NONE).sum(axis=1) == 1, self._spelled[:, 0], _NONE)
        # Letters that start a word are others than the same ones within a word, as pieces are.
        self._alphabet = len(letters) + _FIRST
        self._trie = Trie(_spelled_pieces(vocabulary, letters), 2 * self._alphabet, UNK_ID)

    def __call__(self, texts_B: Tensor) -> Tensor:
        # Between spaces stand the same few words again and again: each is cut once in a batch.
        parts = tf.strings.split(texts_B, " ")
        different, which = tf.unique(parts.values)
        return parts.with_values(tf.gather(self._of(different), which)).merge_dims(1, 2)

    def _of(self, texts_B: Tensor) -> Tensor:
        characters = tf.strings.unicode_decode(_with_special_letters(texts_B), "UTF-8")
        pages = tf.gather(self._page_of, tf.bitwise.right_shift(characters.values, _PAGE_BITS))
        kinds = tf.gather(self._pages, pages + tf.bitwise.bitwise_and(characters.values, _PAGE - 1))
        letters_N, rows_N = self._spell(kinds, characters.value_rowids())
        ids_N = self._cut(letters_N, rows_N)
        pieces = tf.where(ids_N != _NONE)[:, 0]
        return tf.RaggedTensor.from_value_rowids(
            tf.gather(ids_N, pieces), tf.gather(rows_N, pieces), tf.shape(texts_B, tf.int64)[0], validate=False
        )

    def _spell(self, kinds: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Letters and their rows: none to three for each character, in most texts one."""

        def any_number() -> tuple[Tensor, Tensor]:
            spelled = tf.gather(self._spelled, kinds)
            there = tf.where(spelled != _NONE)
            return tf.gather_nd(spelled, there), tf.gather(rows, there[:, 0])

        singles = tf.gather(self._single, kinds)
        found: tuple[Tensor, Tensor] = tf.cond(tf.reduce_all(singles != _NONE), lambda: (singles, rows), any_number)
        return found

    def _cut(self, letters_N: Tensor, rows_N: Tensor) -> Tensor:
        """The id of the piece that starts at each letter; -1 where none does."""
        count = tf.size(letters_N)
        in_word_N = letters_N != _SPACE
        binds_N = in_word_N & ~tf.gather(self._alone, letters_N)
        joined_N = tf.concat([[False], binds_N[:-1] & binds_N[1:] & (rows_N[:-1] == rows_N[1:])], axis=0)[:count]
        letters_N += tf.where(joined_N, 0, self._alphabet)
        places = tf.cast(tf.where(~joined_N)[:, 0], tf.int32)  # of words and of spaces
        sizes = tf.concat([places[1:], [count]], axis=0)[: tf.size(places)] - places
        words = tf.where(tf.gather(in_word_N, places))[:, 0]
        places_W, sizes_W = tf.gather(places, words), tf.gather(sizes, words)
        ids_W, lengths_W = self._trie.longest(letters_N, places_W)
        known_W = (lengths_W > 0) & (sizes_W <= _LONGEST_WORD)
        ids_W = tf.where(known_W, ids_W, UNK_ID)
        ids_N = tf.tensor_scatter_nd_update(tf.fill([count], _NONE), places_W[:, None], ids_W)
        several = tf.where(known_W & (lengths_W < sizes_W))[:, 0]
        return self._cut_rest(
            letters_N, ids_N, tf.gather(places_W, several), tf.gather(sizes_W, several), tf.gather(lengths_W, several)
        )

    def _cut_rest(
        self, letters_N: Tensor, ids_N: Tensor, places_W: Tensor, sizes_W: Tensor, lengths_W: Tensor
    ) -> Tensor:
        """The ids with those of the pieces after the first, for the words W that aren't one piece."""
        rest = tf.ragged.range(places_W + 1, places_W + sizes_W)
        places_R, ends_W = rest.values, tf.cast(rest.row_limits(), tf.int32)
        words_R = rest.value_rowids()
        ids_R, lengths_R = self._trie.longest(letters_N, places_R)
        seconds_W = tf.cast(rest.row_starts(), tf.int32) + lengths_W - 1
        is_piece_R = _chain(seconds_W, lengths_R, tf.gather(ends_W, words_R))
        bad = tf.gather(words_R, tf.where(is_piece_R & (lengths_R == 0))[:, 0])
        bad_W = tf.tensor_scatter_nd_update(tf.zeros_like(places_W, tf.bool), bad[:, None], tf.ones_like(bad, tf.bool))
        ids_N = tf.tensor_scatter_nd_update(
            ids_N, tf.boolean_mask(places_W, bad_W)[:, None], tf.fill([tf.size(bad)], UNK_ID)
        )
        pieces = tf.where(is_piece_R & ~tf.gather(bad_W, words_R))[:, 0]
        return tf.tensor_scatter_nd_update(ids_N, tf.gather(places_R, pieces)[:, None], tf.gather(ids_R, pieces))


def _chain(frontier: Tensor, lengths_R: Tensor, ends_R: Tensor) -> Tensor:
    """Where pieces start: at the frontier, then where each piece ends, until a word ends or no piece fits."""

    def step(places: Tensor, marked_R: Tensor) -> tuple[Tensor, Tensor]:
        marked_R = tf.tensor_scatter_nd_update(marked_R, places[:, None], tf.ones_like(places, tf.bool))
        lengths = tf.gather(lengths_R, places)
        goes_on = (lengths > 0) & (places + lengths < tf.gather(ends_R, places))
        return tf.boolean_mask(places + lengths, goes_on), marked_R

    _, marked_R = tf.while_loop(
        lambda places, _: tf.size(places) > 0,
        step,
        (frontier, tf.zeros_like(lengths_R, tf.bool)),
        (tf.TensorShape([None]), tf.TensorShape([None])),
    )
    return marked_R


def _letters(vocabulary: dict[str, int]) -> dict[str, int]:
    """A number for each character of the pieces, and for each special token as one letter."""
    pieces = [token.removeprefix("##") or token for token in vocabulary if token not in SPECIAL_TOKENS]
    characters = sorted({character for piece in pieces for character in piece})
    return {letter: _FIRST + place for place, letter in enumerate([*SPECIAL_TOKENS, *characters])}


def _spelled_pieces(vocabulary: dict[str, int], letters: dict[str, int]) -> dict[tuple[int, ...], int]:
    """The letters of each piece, the first of one that starts a word counted from the alphabet's end."""
    spelled = {}
    for token, number in vocabulary.items():
        special = token in SPECIAL_TOKENS
        within = token.startswith("##") and len(token) > 2 and not special
        first, *others = [letters[one] for one in ([token] if special else token[2:] if within else token)]
        spelled[first + (0 if within else len(letters) + _FIRST), *others] = number
    return spelled


def _character_tables(letters: dict[str, int]) -> tuple[NDArray[Any], ...]:
    """What the tokenizer makes of each character.

    Returns: kinds, page after page; where the page of each 256 characters starts; up to 3 letters of each kind (-1:
    none); whether a letter is a word of its own.
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
    starts = _PAGE * page_of.reshape(-1).astype(np.int32)
    return pages.reshape(-1).astype(np.int32), starts, np.array(list(kinds), np.int32), alone
