"""Which rows are held out where a source brings no split of its own. Reader: ingestion."""

import numpy as np
from numpy.typing import NDArray


def held_out(labels: NDArray[np.int32], count: int, stratify: bool) -> NDArray[np.int64]:
    """Places of `count` rows to hold out, ascending: the first ones, of each class its share if stratified.

    Shares are rounded to the largest remainders, the larger class first among equals, so that `count` rows are taken
    exactly; one row of a class stays behind as long as others can be taken.
    Args: labels: of the rows in a random order; -1, where it is unknown, counts as a class.
    """
    if not stratify or not count:
        return np.arange(min(count, len(labels)))
    classes, class_of_row, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    shares = count * sizes / len(labels)
    taken = np.floor(shares).astype(np.int64)
    order = np.lexsort((np.arange(len(classes)), -sizes, -(shares - taken)))
    for leave in (1, 0):
        room = np.flatnonzero((taken < sizes - leave)[order])
        missing = count - int(taken.sum())
        taken[order[room[:missing]]] += 1
    places = [np.flatnonzero(class_of_row == number)[:some] for number, some in enumerate(taken)]
    return np.sort(np.concatenate(places))
