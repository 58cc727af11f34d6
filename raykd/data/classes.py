"""How many classes a source has: told by the configuration, by external teachers' scores, or by the labels."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raykd.config import DataConfig
from raykd.data import external
from raykd.errors import InputError


def count_classes(
    index: external.Index, scores: Mapping[str, external.Rows], names: Sequence[str], data: DataConfig
) -> int:
    """The number of classes.

    Args: index: `example_id` and `label` (-1 where unknown) of all rows; scores: by external teacher, each row's
    logits, 0 where there are none; names: of the classes, if they have any.
    Raises: InputError for fewer than two, for one without examples unless that is allowed, or where external teachers
    have scored another number.
    """
    return _scored(index, scores, names, data) if scores else _labelled(index["label"], names, data)


def _scored(index: external.Index, scores: Mapping[str, external.Rows], names: Sequence[str], data: DataConfig) -> int:
    found = external.classes_of(index, scores)
    wanted = len(names) or data.classes
    if wanted not in (None, found):
        told_by = "the labels' names" if names and data.classes is None else "data.classes"
        raise InputError(
            f"data.columns.external: found scores of {found} classes, expected {wanted} as in {told_by}; fix either"
        )
    return found


def _labelled(labels: NDArray[np.int32], names: Sequence[str], data: DataConfig) -> int:
    present = np.unique(labels[labels >= 0])
    found = int(present.max()) + 1 if present.size else 0
    classes = data.classes if isinstance(data.classes, int) else len(names) or found
    if classes < 2:
        raise InputError(f"label: found {classes} class(es), expected at least 2; check data.columns.label")
    if len(present) < classes and not data.allow_missing_classes:
        gaps = np.flatnonzero(present != np.arange(len(present)))
        absent = int(gaps[0]) if gaps.size else len(present)
        shown = f"{absent} ({names[absent]})" if names else absent
        raise InputError(
            f"label: class {shown} of 0 to {classes - 1} has no example; expected every class; renumber the labels or "
            "set data.allow_missing_classes"
        )
    return classes
