"""Ranking of rows within groups: how high the right passages of a question stand among all its passages.

Readers: the evaluation, where `data.columns.group` names the questions. Axes: B rows, G groups.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """How each group was ranked; groups without a relevant row count for nothing.

    Args: average_precision, reciprocal_rank: [G], 0 to 1; counted: [G], whether the group has a relevant row.
    """

    average_precision: Floats
    reciprocal_rank: Floats
    counted: NDArray[np.bool_]

    @property
    def map(self) -> float | None:
        """Mean average precision of the groups that count; None where none does."""
        return float(self.average_precision[self.counted].mean()) if self.counted.any() else None

    @property
    def mrr(self) -> float | None:
        """Mean reciprocal rank of the first relevant row, of the groups that count; None where none does."""
        return float(self.reciprocal_rank[self.counted].mean()) if self.counted.any() else None


def rank(scores_B: Floats, relevant_B: NDArray[np.bool_], groups_B: NDArray[np.int64]) -> Ranking:
    """Rank each group's rows by score, highest first.

    Rows of equal score all have the rank of the last of them, as in scikit-learn's `average_precision_score`, which is
    computed here for all groups at once.
    Args: groups: numbers from 0, each with a row.
    """
    order = np.lexsort((-scores_B, groups_B))
    scores_B, relevant_B, groups_B = scores_B[order], relevant_B[order], groups_B[order]
    new_group_B = np.diff(groups_B, prepend=-1) != 0
    new_score_B = new_group_B | (np.diff(scores_B, prepend=np.inf) != 0)
    starts_G = np.flatnonzero(new_group_B)
    ends = np.append(np.flatnonzero(new_score_B)[1:], len(scores_B)) - 1  # of each run of equal scores
    end_B = ends[np.cumsum(new_score_B) - 1]
    rank_B = end_B - starts_G[groups_B] + 1
    found_B = np.cumsum(relevant_B)
    before_G: NDArray[np.int64] = found_B[starts_G] - relevant_B[starts_G]
    precision_B = (found_B[end_B] - before_G[groups_B]) / rank_B

    count_G = np.bincount(groups_B, weights=relevant_B)
    precision_G = np.bincount(groups_B, weights=precision_B * relevant_B) / np.maximum(count_G, 1)
    reciprocal_G = np.zeros(len(count_G))
    np.maximum.at(reciprocal_G, groups_B[relevant_B], 1.0 / rank_B[relevant_B])
    return Ranking(precision_G, reciprocal_G, count_G > 0)
