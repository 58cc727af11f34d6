"""Steps that depend on one another, and which of them can start: decisions only, no Ray."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raykd.artifacts import RunDirectory

Work = Callable[..., dict[str, Any]]
"""Does a step's work: takes the run directory and a reporter, returns facts for the done marker."""


@dataclass(frozen=True)
class Step:
    """One unit of work with one output folder, done once for its settings.

    Args:
        name: also the output folder, relative to the run directory.
        fingerprint: of the step's settings and of the steps it needs.
        needs: names of the steps that come before it.
        made_of: fingerprints of all steps that it depends on, those that these need too, by name.
        trains: whether its time counts as training or scoring.
        alone: the driver does it itself, with every core; no lane works meanwhile.
        launched: its work is a training, launched on workers where the configuration has them.
        shared: its work takes `part`, (number, of how many), and does that part of it: several can do it side by side.
    """

    name: str
    fingerprint: str
    work: Work = field(compare=False)
    needs: tuple[str, ...] = ()
    made_of: Mapping[str, str] = field(default_factory=dict, compare=False)
    trains: bool = True
    alone: bool = False
    launched: bool = False
    shared: bool = False


def phases(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps in groups to do one after the other: one that is done alone, or all that can be done before the next.

    Args: steps: without those that are done already.
    """
    left, groups = list(steps), []
    while left:
        waiting: set[str] = set()
        for step in left:  # A step comes after those it needs.
            if step.alone or waiting & set(step.needs):
                waiting.add(step.name)
        group = [step for step in left if step.name not in waiting] or left[:1]
        groups.append(group)
        left = [step for step in left if step not in group]
    return groups


def needed(steps: Sequence[Step], *names: str) -> list[Step]:
    """The steps of these names and those that they need, themselves or through others, in order."""
    wanted = set(names)
    for step in reversed(steps):
        if step.name in wanted:
            wanted.update(step.needs)
    return [step for step in steps if step.name in wanted]


def ready(steps: Sequence[Step], done: Collection[str], running: Collection[str]) -> list[Step]:
    """The steps that can start now, in the order given, which is their priority."""
    return [
        step
        for step in steps
        if step.name not in done and step.name not in running and all(need in done for need in step.needs)
    ]


def unfinished(steps: Sequence[Step], run: RunDirectory) -> list[Step]:
    """The steps whose output is missing or of other settings, in order."""
    return [step for step in steps if not run.is_done(step.name, step.fingerprint)]


def covered_seconds(intervals: Sequence[tuple[float, float]]) -> float:
    """Length of the union of intervals (start, end)."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
