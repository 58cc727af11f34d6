"""The trie's longest pieces are those that a search through all pieces finds."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from raykd.export.trie import Trie

_MISSING = 7
_HAND = {(1,): 10, (1, 2): 11, (1, 2, 3, 4): 12, (3,): 13}


def _longest(pieces: dict[tuple[int, ...], int], letters: list[int], place: int) -> tuple[int, int]:
    fitting = [piece for piece in pieces if tuple(letters[place : place + len(piece)]) == piece]
    best = max(fitting, key=len, default=())
    return pieces.get(best, _MISSING), len(best)


def _found(trie: Trie, letters: list[int], places: list[int]) -> list[tuple[Any, ...]]:
    numbers, lengths = trie.longest(tf.constant(letters, tf.int32), tf.constant(places, tf.int32))
    return list(zip(numbers.numpy().tolist(), lengths.numpy().tolist(), strict=True))


def test_longest_piece_by_hand() -> None:
    trie = Trie(_HAND, alphabet=5, missing=_MISSING)
    # 1 2 3 4: the whole piece. 1 2 3 (then 1): back to (1, 2). 4: none. A 0 ends what is before it.
    assert _found(trie, [1, 2, 3, 4, 1, 2, 3, 1, 0, 2], [0, 4, 3, 6, 7, 8, 9]) == [
        (12, 4), (11, 2), (_MISSING, 0), (13, 1), (10, 1), (_MISSING, 0), (_MISSING, 0),
    ]  # fmt: skip


def test_nothing_to_look_for() -> None:
    trie = Trie(_HAND, alphabet=5, missing=_MISSING)
    assert _found(trie, [], []) == []
    assert _found(trie, [1], []) == []


def test_no_pieces() -> None:
    assert _found(Trie({}, alphabet=3, missing=_MISSING), [1, 2], [0, 1]) == [(_MISSING, 0), (_MISSING, 0)]


@pytest.mark.parametrize("alphabet", [3, 40])
def test_many_pieces_as_by_search(alphabet: int) -> None:
    rng = np.random.default_rng(alphabet)
    drawn = [tuple(rng.integers(1, alphabet, rng.integers(1, 7)).tolist()) for _ in range(300)]
    pieces = {piece: 100 + number for number, piece in enumerate(dict.fromkeys(drawn))}
    letters = rng.integers(0, alphabet, 2000).tolist()
    places = list(range(len(letters)))
    expected = [_longest(pieces, letters, place) for place in places]
    assert _found(Trie(pieces, alphabet, _MISSING), letters, places) == expected
