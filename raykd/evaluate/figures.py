"""What plots need beyond single figures: confusions, reliability, agreement. Readers: the evaluation, which publishes
it as `evaluation/figures.json` for the report.

Axes: B rows, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raykd.ensemble import tempered
from raykd.evaluate.calibration import reliability
from raykd.evaluate.quality import Floats, Labels

_MOST_CLASSES = 25  # of a whole confusion matrix; of more classes the most frequent confusions are kept
_CONFUSIONS = 100


def figures(
    predictions: Mapping[str, Floats],
    labels_B: Labels,
    temperatures: Mapping[str, float],
    teachers: Sequence[str],
) -> dict[str, Any]:
    """Figures of all models, as JSON holds them.

    Args: predictions: probabilities [B, C] by model, in the order of the results; temperatures: by model, where one
    was fitted; teachers: the models to agree with.
    Returns: `rows_by_class`; `confusion`: by model [true, predicted, rows] where there are rows (more than 25 classes:
    wrong predictions alone, the 100 most frequent); `reliability`: by model before and, where it was fitted, after
    temperature scaling; `agreement`: by model and teacher the share of rows that both predict alike.
    """
    classes = next(iter(predictions.values())).shape[1]
    predicted = {name: probabilities_BC.argmax(axis=1) for name, probabilities_BC in predictions.items()}
    return {
        "rows_by_class": np.bincount(labels_B, minlength=classes).tolist(),
        "confusion": {name: confusions(predicted_B, labels_B, classes) for name, predicted_B in predicted.items()},
        "reliability": {
            name: {
                "before": reliability(probabilities_BC, labels_B),
                "after": reliability(tempered(probabilities_BC, temperatures[name]), labels_B)
                if name in temperatures
                else None,
            }
            for name, probabilities_BC in predictions.items()
        },
        "agreement": {
            name: {teacher: float((predicted_B == predicted[teacher]).mean()) for teacher in teachers}
            for name, predicted_B in predicted.items()
        },
    }


def confusions(predicted_B: Labels, labels_B: Labels, classes: int) -> list[list[int]]:
    """[true class, predicted class, rows], by class; of many classes only those that `figures` names, by frequency."""
    pairs, rows = np.unique(labels_B.astype(np.int64) * classes + predicted_B, return_counts=True)
    true, predicted = pairs // classes, pairs % classes
    if classes > _MOST_CLASSES:
        wrong = np.flatnonzero(true != predicted)
        kept = wrong[np.argsort(-rows[wrong], kind="stable")][:_CONFUSIONS]
        true, predicted, rows = true[kept], predicted[kept], rows[kept]
    found: list[list[int]] = np.column_stack([true, predicted, rows]).tolist()
    return found
