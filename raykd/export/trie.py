"""A vocabulary's pieces by their letters, as tables that a TensorFlow graph walks: a double array (Aoe 1989).

A state's edge by letter c lies in slot base[state] + c, and is there if check[slot] names the state; the slot is also
the state that it leads to. So a step costs two look-ups, however many letters there are.

Axes: N letters of all texts in a row, K places to start from, S slots.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_NONE = -1
_ROOT = 0
_CANDIDATES = 4096  # slots that are tried at once

Tensor = Any


class Trie:
    """Pieces of letters, each with its number.

    Args:
        pieces: letters of each piece, from 1 on (0 ends every piece), with its number.
        alphabet: letters are less than this.
        missing: the number where no piece fits.
    """

    def __init__(self, pieces: Mapping[tuple[int, ...], int], alphabet: int, missing: int) -> None:
        edges: list[dict[int, int]] = [{}]
        numbers = [_NONE]
        for letters, number in pieces.items():
            node = 0
            for letter in letters:
                if letter not in edges[node]:
                    edges[node][letter] = len(edges)
                    edges.append({})
                    numbers.append(_NONE)
                node = edges[node][letter]
            numbers[node] = number
        base_of, size = _places([list(node) for node in edges], alphabet)
        self._base_S = np.zeros(size, np.int32)
        self._check_S = np.full(size, _NONE, np.int32)
        # Of the longest piece on the way to each state.
        self._number_S = np.full(size, missing, np.int32)
        self._length_S = np.zeros(size, np.int32)
        below = [(0, _ROOT, 0, 0, missing)]
        while below:
            node, state, depth, length, number = below.pop()
            if numbers[node] != _NONE:
                length, number = depth, numbers[node]
            self._base_S[state] = base = base_of[node]
            self._number_S[state], self._length_S[state] = number, length
            for letter, child in edges[node].items():
                self._check_S[base + letter] = state
                below.append((child, base + letter, depth + 1, length, number))

    def longest(self, letters_N: Tensor, places_K: Tensor) -> tuple[Tensor, Tensor]:
        """Number and letters of the longest piece that starts at each place; 0 letters where there is none."""
        letters = tf.concat([letters_N, [0]], axis=0)

        def step(at: Tensor, walks: Tensor, states: Tensor, last_K: Tensor) -> tuple[Tensor, ...]:
            slots = tf.gather(self._base_S, states) + tf.gather(letters, tf.gather(places_K, walks) + at)
            alive = tf.where(tf.gather(self._check_S, slots) == states)[:, 0]
            walks, states = tf.gather(walks, alive), tf.gather(slots, alive)
            return at + 1, walks, states, tf.tensor_scatter_nd_update(last_K, walks[:, None], states)

        start_K = tf.fill(tf.shape(places_K), _ROOT)
        any_length = tf.TensorShape([None])
        *_, last_K = tf.while_loop(
            lambda at, walks, *_: tf.size(walks) > 0,
            step,
            (tf.constant(0), tf.range(tf.size(places_K)), start_K, start_K),
            (tf.TensorShape([]), any_length, any_length, any_length),
        )
        return tf.gather(self._number_S, last_K), tf.gather(self._length_S, last_K)


def _places(edges: Sequence[Sequence[int]], alphabet: int) -> tuple[list[int], int]:
    """The base of each node, first fit, and the number of slots. Below `alphabet` no edge lies: a leaf has base 0."""
    free = np.ones(4 * alphabet + 2 * len(edges) + _CANDIDATES, bool)
    free[:alphabet] = False
    bases = [0] * len(edges)
    first = alphabet  # No slot below is free.
    for node in _by_fanout(edges):
        letters = np.array(edges[node], np.int64)
        base = _fit(free, letters, first)
        free[base + letters] = False
        bases[node] = base
        if not free[first]:
            first += int(free[first:].argmax())
    return bases, max(bases) + alphabet


def _by_fanout(edges: Sequence[Sequence[int]]) -> Iterable[int]:
    return sorted((node for node, letters in enumerate(edges) if letters), key=lambda node: -len(edges[node]))


def _fit(free: NDArray[np.bool_], letters: NDArray[np.int64], first: int) -> int:
    for start in range(first, len(free), _CANDIDATES):
        slots = start + np.flatnonzero(free[start : start + _CANDIDATES])
        bases = slots - letters[0]
        bases = bases[(bases >= 0) & (bases + letters.max() < len(free))]
        fits = free[bases[:, None] + letters].all(axis=1)
        if fits.any():
            return int(bases[fits.argmax()])
    raise AssertionError("there are more slots than edges and gaps")
