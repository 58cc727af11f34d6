"""What a process keeps because making it is slow: models and programs, as long as they aren't large.

Readers: training and prediction. Students are trained again and again in one process; large teachers come one after the
other, and what each holds on an accelerator is then the next one's.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import tensorflow as tf

KEPT_BYTES = 1 << 30  # of variables; before anything else is made, the oldest beyond go

Made = TypeVar("Made")


class Kept(Generic[Made]):
    """Things by what they are made for. Args: variables: those that a thing holds."""

    def __init__(self, variables: Callable[[Made], Iterable[Any]]) -> None:
        self._variables = variables
        self._made: dict[str, tuple[Made, int]] = {}

    def get(self, key: str, make: Callable[[], Made]) -> Made:
        """The thing that was made for this key, or a new one."""
        if key not in self._made:
            while sum(held for _, held in self._made.values()) > KEPT_BYTES:
                self._made.pop(next(iter(self._made)))
            made = make()
            self._made[key] = made, sum(map(_bytes, self._variables(made)))
        return self._made[key][0]


def _bytes(variable: Any) -> int:
    return int(math.prod(variable.shape)) * int(tf.as_dtype(variable.dtype).size)
