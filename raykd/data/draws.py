"""Random numbers without a state to keep: SplitMix64, whose output number n is a function of its seed and n.

Readers: `order` gives every row a seed of its own; `raykd.train.augment` draws from it in TensorFlow. Integers alone:
the same numbers on every device, compiled or not.
"""

import numpy as np
from numpy.typing import NDArray

GAMMA = 0x9E3779B97F4A7C15
ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))  # shift, factor
LAST_SHIFT = 31


def splitmix(seed: NDArray[np.uint64] | np.uint64, counter: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 random bits: output `counter`, counted from 0, of the generator with this seed; shapes broadcast.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figures 16 and 17, with the
    constants of java.util.SplittableRandom.
    """
    bits = seed + (counter + np.uint64(1)) * np.uint64(GAMMA)
    for shift, factor in ROUNDS:
        bits = (bits ^ bits >> np.uint64(shift)) * np.uint64(factor)
    mixed: NDArray[np.uint64] = bits ^ bits >> np.uint64(LAST_SHIFT)
    return mixed
