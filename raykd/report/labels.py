"""Where to write the names of points so that they don't cover each other."""

from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (9.0, 20.0, 32.0, 46.0, 62.0, 80.0)  # units between a point and its name, tried in this order
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7))


@dataclass(frozen=True)
class Box:
    """A rectangle; the unit is the picture's."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """Shared area."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    @property
    def area(self) -> float:
        """Its area."""
        return (self.right - self.left) * (self.top - self.bottom)


def place(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], room: Box, marker: float
) -> list[Box]:
    """A box for each name: near its point, inside `room`, off the markers and the other names if possible.

    Args: points: x, y; sizes: width and height of each name; marker: half the width of a point's marker.
    Returns: the boxes in the points' order. Names are set one after the other, each at the nearest free
    place, or at the one that covers least.
    """
    taken = [Box(x - marker, y - marker, x + marker, y + marker) for x, y in points]
    placed = []
    for point, size in zip(points, sizes, strict=True):
        choices = [_beside(point, size, direction, step) for step in _STEPS for direction in _DIRECTIONS]
        costs = [sum(box.overlap(other) for other in taken) + box.area - box.overlap(room) for box in choices]
        chosen = choices[costs.index(min(costs))]
        taken.append(chosen)
        placed.append(chosen)
    return placed


def _beside(point: tuple[float, float], size: tuple[float, float], direction: tuple[float, float], step: float) -> Box:
    """The name's box at `step` from the point, touching with the side or corner that faces it."""
    (x, y), (width, height), (across, up) = point, size, direction
    left = x + across * step - width * (1 - _sign(across)) / 2
    bottom = y + up * step - height * (1 - _sign(up)) / 2
    return Box(left, bottom, left + width, bottom + height)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
