"""Rows that are held out: how many of each class."""

import numpy as np
import pytest

from raykd.data.stratify import held_out


@pytest.mark.parametrize(
    ("sizes", "count", "taken"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([45, 45], 9, [5, 4]),  # 4.5 each: the first of equals.
        ([7, 3], 5, [4, 1]),  # 3.5 and 1.5: the larger class.
        ([98, 1, 1], 50, [50, 0, 0]),  # 49, 0.5, 0.5: the only rows of a class stay.
        ([2, 1, 1], 4, [2, 1, 1]),  # All that there is.
        ([5], 2, [2]),
        ([5, 5], 0, [0, 0]),
    ],
)
def test_every_class_gives_its_share(sizes: list[int], count: int, taken: list[int]) -> None:
    labels = np.random.default_rng(3).permutation(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
    places = held_out(labels, count, stratify=True)
    assert np.bincount(labels[places], minlength=len(sizes)).tolist() == taken
    assert (np.diff(places) > 0).all()
    for label, some in enumerate(taken):  # The first ones of a random order are a random choice.
        assert set(places) >= set(np.flatnonzero(labels == label)[:some])


def test_without_strata_the_first_rows_are_held_out() -> None:
    np.testing.assert_array_equal(held_out(np.zeros(10, np.int32), 4, stratify=False), [0, 1, 2, 3])
