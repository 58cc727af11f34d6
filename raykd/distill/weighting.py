"""How much each teacher counts in an average: worked out on the validation split, from cached logits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raykd.artifacts import RunDirectory, logits_folder
from raykd.config import DistillConfig
from raykd.data.largest import spread
from raykd.data.portions import Portions
from raykd.data.reader import Reader
from raykd.data.shards import Arrays, Manifest
from raykd.ensemble import member_weights
from raykd.errors import InputError
from raykd.train.predict import probabilities_of


def teacher_weights(
    distill: DistillConfig, teachers: Sequence[str], run: RunDirectory, manifest: Manifest
) -> tuple[float, ...] | None:
    """Weights of these teachers, summing to 1, by their predictions at temperature 1; None: equal ones.

    Raises: InputError as `check_labelled`.
    """
    if distill.weighting == "uniform":
        return None
    absent = {name for name, splits in manifest.external if "validation" not in splits} & set(teachers)
    if absent:
        raise InputError(
            f"distill.weighting: external teacher {min(absent)} has not scored the validation split, on which weights "
            "are worked out; add its scores there, or set uniform"
        )
    rows = _labelled_rows(run, manifest, [logits_folder(teacher) for teacher in teachers])
    logits_BNC = spread(rows["teacher_logits"], manifest.classes)
    predictions = [probabilities_of(logits_BNC[:, [i]]) for i in range(len(teachers))]
    return member_weights(distill.weighting, predictions, rows["label"], distill.average)


def check_labelled(labels_B: NDArray[np.int32]) -> None:
    """Raises: InputError when no row of the validation split has a label."""
    if not (labels_B >= 0).any():
        raise InputError(
            "distill.weighting: found no labelled rows in the validation split to work weights out; "
            "give it labels, or set uniform"
        )


def _labelled_rows(run: RunDirectory, manifest: Manifest, logits: Sequence[str]) -> Arrays:
    """Labels and teachers' logits of the rows whose label is known. Raises: InputError as `check_labelled`."""
    reader = Reader(run, manifest.of("validation"), manifest.inputs, tuple(logits))
    rows = Portions(reader, manifest.classes).without_inputs()
    check_labelled(rows["label"])
    known = rows["label"] >= 0
    return {name: values[known] for name, values in rows.items()}
