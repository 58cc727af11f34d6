"""Every figure of every model on the test rows, but for sizes and speeds. Reader: the evaluation.

Axes: B rows, C classes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.data.shards import Arrays
from raykd.evaluate.bootstrap import Bootstrap
from raykd.evaluate.calibration import calibration
from raykd.evaluate.quality import ECE_BINS, Floats, Labels, quality
from raykd.evaluate.ranking import rank
from raykd.evaluate.significance import gains


def measured(
    predictions: Mapping[str, Floats],
    rows: Arrays,
    seed: int,
    *,
    reference: str | None,
    plain: str | None,
    validation: Mapping[str, tuple[Floats, Labels]],
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Quality, intervals, ranking, gain and calibration of every model.

    Args:
        predictions: probabilities [B, C] of the test rows, by model.
        rows: `label`, and `group` int64 [B] where the data has groups: then there are two classes, and intervals
            resample whole groups.
        reference: the model to agree with, the teacher ensemble; plain: the student that learned without a teacher.
        validation: as `calibration` takes it, by model; one that isn't there is not scaled.
    Returns: figures by model, and how they were measured.
    """
    labels_B = rows["label"]
    groups_B = np.unique(rows["group"], return_inverse=True)[1] if "group" in rows else None
    bootstrap = Bootstrap(labels_B, groups_B, seed)
    reference_BC = None if reference is None else predictions[reference]
    right = {name: probabilities_BC.argmax(axis=1) == labels_B for name, probabilities_BC in predictions.items()}
    gained = gains(right, plain, bootstrap)
    found = {
        name: {
            **quality(probabilities_BC, labels_B, reference_BC, seed),
            **bootstrap.of_model(probabilities_BC, reference_BC),
            **_ranking(probabilities_BC, labels_B, groups_B, bootstrap),
            **gained[name],
            **calibration(validation.get(name), probabilities_BC, labels_B),
        }
        for name, probabilities_BC in predictions.items()
    }
    conditions = {
        "rows": len(labels_B),
        "groups": None if groups_B is None else int(groups_B.max()) + 1,
        "resamples": bootstrap.resamples,
        "ece_bins": ECE_BINS,
    }
    return found, conditions


def _ranking(
    probabilities_BC: Floats, labels_B: Labels, groups_B: NDArray[np.int64] | None, bootstrap: Bootstrap
) -> dict[str, Any]:
    """MAP and MRR of class 1 with their intervals; None without groups."""
    if groups_B is None:
        return dict.fromkeys(("map", "mrr", "map_ci95", "mrr_ci95"))
    ranking = rank(probabilities_BC[:, 1], labels_B == 1, groups_B)
    return {"map": ranking.map, "mrr": ranking.mrr, **bootstrap.of_ranking(ranking)}
