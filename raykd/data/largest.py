"""Logits of very many classes: the largest of each row, and one number for all the others.

Readers: the logits store, which keeps them so beyond 1,024 classes, and whoever needs a logit of every class.

In memory they stand side by side, float32 [..., 129]: 64 logits, their 64 classes, and the level of the other classes,
the logarithm of the mean of their exponentials. A row spread out again has that level wherever nothing was kept: the
softmax at temperature 1 is exact for the classes kept, and for the others in sum; at higher temperatures the others
count for somewhat more than they would, by Jensen's inequality.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

DENSE_CLASSES = 1024  # As many are kept whole.
KEPT = 64

_LOGITS, _CLASSES, _REST = "logits", "classes", "rest"


def is_dense(classes: int) -> bool:
    """Whether every class's logit is kept."""
    return classes <= DENSE_CLASSES


def width(classes: int) -> int:
    """Numbers in memory for a row's logits."""
    return classes if is_dense(classes) else 2 * KEPT + 1


def dtype(classes: int) -> str:
    """Type of those numbers."""
    return "float16" if is_dense(classes) else "float32"


def columns_of(logits_BC: NDArray[Any]) -> dict[str, Any]:
    """What a file of the store has for these rows: `logits` float16[C], or the largest 64 with `classes` and `rest`."""
    classes = logits_BC.shape[1]
    if is_dense(classes):
        return {_LOGITS: _lists(np.ascontiguousarray(logits_BC, np.float16))}
    values_BC = np.asarray(logits_BC, np.float32)
    order_BC = np.argpartition(values_BC, classes - KEPT, axis=1)
    kept_BK, others_BC = np.sort(order_BC[:, classes - KEPT :], axis=1), order_BC[:, : classes - KEPT]
    largest_BK, smaller_BC = (np.take_along_axis(values_BC, chosen, axis=1) for chosen in (kept_BK, others_BC))
    top_B1 = smaller_BC.max(axis=1, keepdims=True)
    rest_B = top_B1[:, 0] + np.log(np.exp(smaller_BC - top_B1).mean(axis=1))
    return {
        _LOGITS: _lists(largest_BK.astype(np.float16)),
        _CLASSES: _lists(kept_BK.astype(np.int32)),
        _REST: rest_B.astype(np.float16),
    }


def column_of(table: pa.Table) -> pa.ChunkedArray:
    """A file's logits as one column of lists, `width` numbers each."""
    if _CLASSES not in table.column_names:
        return table[_LOGITS]
    parts = [matrix_of(table[_LOGITS]), matrix_of(table[_CLASSES]), table[_REST].to_numpy()[:, None]]
    return pa.chunked_array([_lists(np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind"))])


def spread(packed: NDArray[Any], classes: int) -> NDArray[np.float16]:
    """A logit for every class, float16 [..., C], of what `column_of` holds, [..., width]."""
    if is_dense(classes):
        return packed.astype(np.float16, copy=False)
    values, chosen, rest = np.split(packed, [KEPT, 2 * KEPT], axis=-1)
    logits = np.repeat(rest.astype(np.float16), classes, axis=-1)
    np.put_along_axis(logits, chosen.astype(np.int64), values.astype(np.float16), axis=-1)
    return logits


def _lists(matrix: NDArray[Any]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def matrix_of(lists: pa.ChunkedArray) -> NDArray[Any]:
    """Lists of equal length as [rows, numbers]."""
    values: NDArray[Any] = lists.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(lists), -1)
