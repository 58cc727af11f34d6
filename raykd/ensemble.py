"""Ensembles: several models' predictions as one.

Axes: M members, B batch, C classes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def average(probabilities_MBC: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean of the members' probabilities, [B, C].

    Probabilities, not logits: one overconfident member would dominate averaged logits (Yang et al. 2020 average
    probabilities too).
    """
    mean: NDArray[np.float64] = np.mean(np.stack(probabilities_MBC), axis=0)
    return mean
