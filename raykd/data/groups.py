"""Groups of rows that belong together, such as the passages of one question: no split takes a part of one.

Readers: sources, which number the groups, and ingestion, which deals the rows. Axes: B rows.
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from raykd.errors import InputError

Rows = NDArray[np.int64]


def numbers_of(column: pa.ChunkedArray, where: str) -> NDArray[np.int64]:
    """An integer for each row, equal where the values are: a 64-bit hash of the value as text.

    Args: where: named in errors, followed by the row.
    Raises: InputError for a null, or a column of lists.
    """
    if column.null_count:
        row = column.to_pylist().index(None)
        raise InputError(f"{where}, row {row}: found null, expected the name or number of its group; fill it")
    try:
        texts = column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise InputError(f"{where}: found {column.type}, expected names or numbers; convert the column") from error
    hashed: NDArray[np.int64] = pd.util.hash_array(np.asarray(texts.to_pylist(), object)).view(np.int64)
    return hashed


def unknown(rows: int) -> NDArray[np.int64]:
    """Numbers of rows that have no such column: it isn't needed where nothing is ranked."""
    return np.zeros(rows, np.int64)


def with_unknown(rows: pa.Table) -> pa.Table:
    """The rows with `unknown` groups."""
    return rows.append_column("group", pa.array(unknown(len(rows))))


def held_out(rows_B: Rows, groups: NDArray[Any], eligible_B: NDArray[np.bool_], wanted: int) -> Rows:
    """Positions in `rows` of whole groups with at least so many eligible rows, and of those rows alone.

    Groups come in the order of their first rows, so they are as random as the rows' order is.
    Args: rows: indices into `groups`; wanted: eligible rows; fewer where there are no more.
    """
    _, first, number_B = np.unique(groups[rows_B], return_index=True, return_inverse=True)
    order = np.argsort(first)
    reached = np.cumsum(np.bincount(number_B, weights=eligible_B)[order])
    taken = order[: int(np.searchsorted(reached, wanted)) + 1] if wanted else order[:0]
    return np.flatnonzero(eligible_B & np.isin(number_B, taken))


def check_ranked(classes: int) -> None:
    """Raises: InputError unless there are two classes: rows are ranked by the probability of class 1."""
    if classes != 2:
        raise InputError(
            f"data.columns.group: found {classes} classes, expected 2, as rows are ranked by class 1; leave it out"
        )
