"""Quality of predicted probabilities against true labels.

Axes: B rows, C classes.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

ECE_BINS = 15
_RESAMPLES = 2000
_SMALLEST = 1e-12

Floats = NDArray[np.float64]
Labels = NDArray[np.int32]


def quality(
    probabilities_BC: Floats, labels_B: Labels, reference_BC: Floats | None, seed: int
) -> dict[str, float | list[float] | None]:
    """All quality figures of one model.

    Args: reference: the teacher ensemble's probabilities, for `agreement`, or None; seed: of the bootstrap.
    Returns: accuracy and its 95 % bootstrap interval, auc and average_precision (two classes: of class 1; several: the
    mean of each against the rest), f1_macro, nll in nats, brier (summed over classes, 0 to 2), ece (over `ECE_BINS`
    equal bins of confidence), agreement.
    """
    predicted_B = probabilities_BC.argmax(axis=1)
    right_B = predicted_B == labels_B
    classes = np.arange(probabilities_BC.shape[1])
    auc, average_precision = _areas(probabilities_BC, labels_B)
    nll_B, brier_B = row_losses(probabilities_BC, labels_B)
    return {
        "accuracy": float(right_B.mean()),
        "accuracy_ci95": accuracy_interval(right_B, seed),
        "auc": auc,
        "average_precision": average_precision,
        "f1_macro": float(f1_score(labels_B, predicted_B, labels=classes, average="macro", zero_division=0.0)),
        "nll": float(nll_B.mean()),
        "brier": float(brier_B.mean()),
        "ece": expected_calibration_error(probabilities_BC, labels_B),
        "agreement": None if reference_BC is None else float((predicted_B == reference_BC.argmax(axis=1)).mean()),
    }


def accuracy_interval(right_B: NDArray[np.bool_], seed: int) -> list[float]:
    """95 % percentile bootstrap interval of the share of True.

    Resampling n rows with replacement draws a binomial number of right ones, so that is drawn directly.
    """
    rng = np.random.default_rng(seed)
    shares = rng.binomial(len(right_B), right_B.mean(), _RESAMPLES) / len(right_B)
    return [float(bound) for bound in np.quantile(shares, [0.025, 0.975])]


def expected_calibration_error(probabilities_BC: Floats, labels_B: Labels) -> float:
    """Mean gap between confidence and accuracy over `ECE_BINS` equal bins of confidence, weighted by rows.

    Source: Guo et al. 2017, eq. 3.
    """
    confidence_B = probabilities_BC.max(axis=1)
    right_B = probabilities_BC.argmax(axis=1) == labels_B
    gap_by_bin = np.bincount(bins_of(confidence_B), weights=right_B - confidence_B, minlength=ECE_BINS)
    return float(np.abs(gap_by_bin).sum() / len(labels_B))


def bins_of(confidence_B: Floats) -> NDArray[np.int64]:
    """The bin of each confidence, 0 to `ECE_BINS` - 1; they are equally wide, and 1 belongs to the last."""
    return np.minimum((confidence_B * ECE_BINS).astype(np.int64), ECE_BINS - 1)


def row_losses(probabilities_BC: Floats, labels_B: Labels) -> tuple[Floats, Floats]:
    """NLL and Brier score of each row, [B] both."""
    right_B = probabilities_BC[np.arange(len(labels_B)), labels_B]
    brier_B: Floats = (probabilities_BC**2).sum(axis=1) - 2 * right_B + 1
    return -np.log(np.maximum(right_B, _SMALLEST)), brier_B


def _areas(probabilities_BC: Floats, labels_B: Labels) -> tuple[float, float] | tuple[None, None]:
    """Area under the ROC curve and average precision: means over the classes that the rows have beside others.

    None where there is one class only.
    """
    present = np.unique(labels_B)
    if len(present) < 2:
        return None, None
    classes = present[1:] if probabilities_BC.shape[1] == 2 else present
    areas = [areas_of_class(probabilities_BC[:, one], labels_B == one) for one in classes]
    auc, average_precision = np.mean(areas, axis=0)
    return float(auc), float(average_precision)


def areas_of_class(score_B: Floats, positive_B: NDArray[np.bool_]) -> tuple[float, float]:
    """Area under the ROC curve and average precision of scores; rows of both kinds must be there.

    As scikit-learn's, which take minutes for each model where there are thousands of classes: one sort tells both. The
    first is the rank-sum statistic, equal scores sharing their mean rank (Hanley and McNeil 1982); the second is the
    mean, over the positive rows, of the precision among all rows that score no lower.
    """
    ordered_B, positive_P = np.sort(score_B), np.sort(score_B[positive_B])
    rows, positives = len(ordered_B), len(positive_P)
    lower_P, up_to_P = (np.searchsorted(ordered_B, positive_P, side) for side in ("left", "right"))
    rank_P = (lower_P + up_to_P + 1) / 2
    auc = (rank_P.sum() - positives * (positives + 1) / 2) / (positives * (rows - positives))
    precision_P = (positives - np.searchsorted(positive_P, positive_P)) / (rows - lower_P)
    return float(auc), float(precision_P.mean())
