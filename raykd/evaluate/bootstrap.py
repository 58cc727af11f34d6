"""Bootstrap intervals of every figure, and of the differences between models, from one set of resampled rows.

Readers: the evaluation. A resample is how often it took each unit, so most figures of all resamples are one product of
matrices. All models are measured on the same resamples: their differences are paired.

Axes: R resamples, U units, B rows, S sums, C classes, N resamples of a block.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from raykd.evaluate.quality import Floats, Labels, accuracy_interval, row_losses
from raykd.evaluate.ranking import Ranking

_RESAMPLES = 1000
_FEWEST = 100
_COUNTS = 100_000_000  # kept at most, of one byte each: above 100,000 units there are fewer resamples
_CLASSES = 16  # counted at a time
_BLOCK = 400_000  # values worked on at a time, so that they stay in the processor's cache


class Bootstrap:
    """Resamples of the test rows.

    Args:
        labels: true classes.
        groups: numbers from 0 of groups that are resampled whole, as the rows of one depend on one another; None: rows
            are drawn by themselves.
        most: resamples; there are fewer of very many units.
    """

    def __init__(self, labels_B: Labels, groups_B: NDArray[np.int64] | None, seed: int, most: int = _RESAMPLES) -> None:
        self._labels_B = labels_B
        self._groups_B = groups_B
        self._seed = seed
        self._units = len(labels_B) if groups_B is None else int(groups_B.max()) + 1
        self.resamples = min(most, max(_FEWEST, _COUNTS // self._units))
        self._counts_RU = _draw(self._units, self.resamples, np.random.default_rng([seed, 0xB007]))
        self._rows_R1 = self._totals(np.ones((len(labels_B), 1)))

    @property
    def unit(self) -> str:
        """What is drawn."""
        return "rows" if self._groups_B is None else "groups"

    def of_model(self, probabilities_BC: Floats, reference_BC: Floats | None) -> dict[str, list[float] | None]:
        """95 % intervals of one model's figures, under `<figure>_ci95`.

        None where a figure is none, and of auc and average precision where there are more than two classes. The ECE has
        none: resampling adds to the error that it measures, so its interval would lie too high.
        """
        predicted_B = probabilities_BC.argmax(axis=1)
        nll_B, brier_B = row_losses(probabilities_BC, self._labels_B)
        right_B = predicted_B == self._labels_B
        columns = [right_B, nll_B, brier_B]
        if reference_BC is not None:
            columns.append(predicted_B == reference_BC.argmax(axis=1))
        means_RS = self._totals(np.column_stack(columns)) / self._rows_R1
        auc_R, precision_R = self._ranked(probabilities_BC)
        alone = self._groups_B is None
        return {
            "accuracy_ci95": accuracy_interval(right_B, self._seed) if alone else interval(means_RS[:, 0]),
            "auc_ci95": interval(auc_R),
            "average_precision_ci95": interval(precision_R),
            "f1_macro_ci95": interval(self._f1_macro(predicted_B, probabilities_BC.shape[1])),
            "nll_ci95": interval(means_RS[:, 1]),
            "brier_ci95": interval(means_RS[:, 2]),
            "agreement_ci95": None if reference_BC is None else interval(means_RS[:, 3]),
        }

    def of_ranking(self, ranking: Ranking) -> dict[str, list[float] | None]:
        """95 % intervals of MAP and MRR; the units are the ranking's groups."""
        counted = ranking.counted
        kept_GS = np.column_stack([ranking.average_precision * counted, ranking.reciprocal_rank * counted, counted])
        totals_RS = self._product(kept_GS)
        known = totals_RS[:, 2] > 0
        means_RS = totals_RS[known, :2] / totals_RS[known, 2:]
        return {"map_ci95": interval(means_RS[:, 0]), "mrr_ci95": interval(means_RS[:, 1])}

    def mean_difference(self, values_B: NDArray[np.generic], others_B: NDArray[np.generic]) -> Floats:
        """The mean of `values - others` in every resample, [R]."""
        differences_B1 = (np.asarray(values_B, np.float64) - np.asarray(others_B, np.float64))[:, None]
        means_R: Floats = (self._totals(differences_B1) / self._rows_R1)[:, 0]
        return means_R

    def _totals(self, values_BS: NDArray[np.generic]) -> Floats:
        """Sums over the rows of each resample, [R, S]."""
        if self._groups_B is None:
            return self._product(values_BS)
        by_unit = [np.bincount(self._groups_B, weights=column, minlength=self._units) for column in values_BS.T]
        return self._product(np.column_stack(by_unit))

    def _product(self, values_US: NDArray[np.generic]) -> Floats:
        summed_US = np.asarray(values_US, np.float32)
        blocks = [self._counts_RU[block].astype(np.float32) @ summed_US for block in self._blocks()]
        return np.concatenate(blocks).astype(np.float64)

    def _blocks(self) -> Iterator[slice]:
        size = max(1, _BLOCK // self._units)
        return (slice(start, start + size) for start in range(0, self.resamples, size))

    def _f1_macro(self, predicted_B: Labels, classes: int) -> Floats:
        """As `quality` counts it: a class neither present nor predicted has an F1 of 0."""
        f1_R = np.zeros(self.resamples)
        for start in range(0, classes, _CLASSES):  # A few at a time: rows times classes may not fit into memory.
            chunk_C = np.arange(start, min(start + _CLASSES, classes))
            predicted_BC, true_BC = predicted_B[:, None] == chunk_C, self._labels_B[:, None] == chunk_C
            columns_BS = np.hstack([predicted_BC & true_BC, predicted_BC, true_BC])
            right_RC, predicted_RC, true_RC = np.split(self._totals(columns_BS), 3, axis=1)
            f1_R += (2 * right_RC / np.maximum(predicted_RC + true_RC, 1)).sum(axis=1) / classes
        return f1_R

    def _ranked(self, probabilities_BC: Floats) -> tuple[Floats, Floats]:
        """Area under the ROC curve and average precision of class 1; resamples of one class only are left out."""
        if probabilities_BC.shape[1] != 2:
            return np.empty(0), np.empty(0)
        order = np.argsort(-probabilities_BC[:, 1], kind="stable")
        scores_B, positive_B = probabilities_BC[order, 1], self._labels_B[order] == 1
        ends = np.flatnonzero(np.append(np.diff(scores_B) != 0, True))  # of each run of equal scores
        units_B = order if self._groups_B is None else self._groups_B[order]
        found = [_areas(self._counts_RU[block][:, units_B], positive_B, ends) for block in self._blocks()]
        areas_RS = np.concatenate(found)
        known_RS = areas_RS[np.isfinite(areas_RS).all(axis=1)]
        return known_RS[:, 0], known_RS[:, 1]


def interval(values_R: Floats) -> list[float] | None:
    """The middle 95 % of resampled values; None where there are none."""
    return [float(bound) for bound in np.quantile(values_R, [0.025, 0.975])] if len(values_R) else None


def _draw(units: int, resamples: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """How often each resample takes each unit, [R, U]; a count above 255 is less likely than a broken machine."""
    counts_RU = np.empty((resamples, units), np.uint8)
    for counts_U in counts_RU:
        counts_U[:] = np.bincount(rng.integers(0, units, units), minlength=units)
    return counts_RU


def _areas(counts_NB: NDArray[np.uint8], positive_B: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Areas under the ROC and the precision-recall curve, [N, 2], NaN where a resample has one class only.

    Args: counts: of rows in the order of falling scores; ends: the last row of each run of equal scores.
    """
    all_NE = np.cumsum(counts_NB, axis=1, dtype=np.int32)
    hits_NE = np.cumsum(counts_NB * positive_B, axis=1, dtype=np.int32)
    if len(ends) < len(positive_B):
        all_NE, hits_NE = all_NE[:, ends], hits_NE[:, ends]
    more_NE = np.diff(hits_NE, axis=1, prepend=0).astype(np.float64)
    misses_NE = np.diff(all_NE, axis=1, prepend=0) - more_NE
    positives_N = hits_NE[:, -1].astype(np.float64)
    negatives_N = all_NE[:, -1] - positives_N
    with np.errstate(invalid="ignore"):
        # A negative row is below all hits above it, and even with half of those of its own score.
        roc_N = np.einsum("ne,ne->n", misses_NE, hits_NE - 0.5 * more_NE) / (positives_N * negatives_N)
        average_N = np.einsum("ne,ne->n", more_NE, hits_NE / np.maximum(all_NE, 1)) / positives_N
    return np.column_stack([roc_N, average_N])
