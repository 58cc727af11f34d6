"""A lane: a Ray actor that does one step at a time, with TensorFlow loaded once, and tells the board how it goes."""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.process import prepare
from raykd.schedule import Step

_HELPERS_LOST = 10  # while one step is delegated, before it is given up; those lost with their node don't count

Event = dict[str, Any]
Part = tuple[int, int]
"""Number of a part, and how many there are."""


class Board:
    """Collects events of all lanes until the driver fetches them."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def post(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    def fetch(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events


@dataclass(frozen=True)
class Reporter:
    """Posts a step's events on the board, from whatever process it is sent to."""

    board: ActorHandle
    lane: int
    step: str

    def __call__(self, event: Event) -> None:
        """Post an event, of kind `progress` unless it says otherwise."""
        self.board.post.remote({"lane": self.lane, "step": self.step, "kind": "progress", **event})


@dataclass(frozen=True)
class Share:
    """What a lane holds.

    Args:
        threads: that it computes with, each on a core of its own.
        gpus: accelerators.
        helpers: workers that each training has, or 0. With them the lane holds nothing and stays beside the driver;
            what it would compute itself, up to so many helpers with this share do.
        reserved: whether its CPUs are nobody else's in Ray meanwhile; where they aren't, it comes up while they work.
    """

    threads: int
    gpus: int = 0
    helpers: int = 0
    reserved: bool = True

    @property
    def held(self) -> dict[str, float]:
        """What Ray is asked for to compute."""
        return {"num_cpus": self.threads if self.reserved else 0, "num_gpus": self.gpus}


class Lane:
    """Performs one step at a time."""

    def __init__(self, number: int, share: Share, run: RunDirectory, board: ActorHandle, verbose: bool) -> None:
        self._number = number
        self._share = share
        self._run = run
        self._board = board
        self._verbose = verbose
        prepare(share.threads, verbose=verbose)

    def ready(self) -> str:
        """The node that the lane is on. Raises: InputError when the run directory is not to be seen from there."""
        _check_sight(self._run)
        node: str = ray.get_runtime_context().get_node_id()
        return node

    def perform(self, step: Step) -> tuple[float, float]:
        """Do the step's work and mark it done; returns when it began and ended, in Unix seconds."""
        begun = time.time()
        report = Reporter(self._board, self._number, step.name)
        report({"kind": "started"})
        self._run.begin(step.name, step.fingerprint)
        delegated = self._share.helpers > 0 and not step.launched
        facts = self._delegate(step, report) if delegated else step.work(self._run, report)
        self._run.finish(step.name, step.fingerprint, step.made_of, **facts)
        report({"kind": "finished", **facts})
        return begun, time.time()

    def _delegate(self, step: Step, report: Reporter) -> Event:
        """Let helpers do the step, each a part of it; another takes up the part of one that is lost."""
        parts = self._share.helpers if step.shared else 1
        begun, facts, lost = time.perf_counter(), list[Event](), 0
        working = dict(self._help(step, report, (part, parts)) for part in range(parts))
        while working:
            [reference], _ = ray.wait(list(working))
            helper, part = working.pop(reference)
            try:
                facts.append(ray.get(reference))
            except RayActorError as error:
                lost += not node_died(error)  # Spot machines come and go for as long as a long step takes.
                if lost > _HELPERS_LOST:
                    raise
                report({"kind": "restarted"})
                reference, helper_and_part = self._help(step, report, part)
                working[reference] = helper_and_part
            ray.kill(helper)  # What it held is free for one that waits.
        return facts[0] if parts == 1 else _together(facts, time.perf_counter() - begun)

    def _help(self, step: Step, report: Reporter, part: Part) -> tuple[Any, tuple[ActorHandle, Part]]:
        helper = ray.remote(**self._share.held)(Helper).remote(self._share.threads, self._run, self._verbose)
        return helper.work.remote(step, report, part), (helper, part)


def node_died(error: RayActorError) -> bool:
    """Whether Ray says that an actor's node has died; it itself takes a while to notice."""
    return "its node has died" in str(error)


def _together(facts: Sequence[Event], seconds: float) -> Event:
    """The facts of a step that was done in parts: rows of all, and the time that they took together."""
    return {"rows": sum(one["rows"] for one in facts), "seconds": seconds}


class Helper:
    """Does a step for a lane, or a part of it, wherever there is room."""

    def __init__(self, threads: int, run: RunDirectory, verbose: bool) -> None:
        self._run = run
        prepare(threads, verbose=verbose)

    def work(self, step: Step, report: Reporter, part: Part) -> Event:
        """Do a part of the step's work. Raises: as it does; InputError when the run directory can't be seen here."""
        _check_sight(self._run)
        return step.work(self._run, report, **({"part": part} if step.shared else {}))


def _check_sight(run: RunDirectory) -> None:
    if not run.exists("config.yaml"):
        raise InputError(
            f"storage_path {run.root}: the machine {platform.node()} doesn't see what the driver wrote there; mount "
            "the same folder on all machines, or give --storage-path s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"
        )
