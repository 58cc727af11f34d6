"""Lanes: Ray actors that work side by side, each with TensorFlow loaded once, and the board they report to."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayTaskError

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.quiet import quiet
from raykd.schedule import Step, ready

_POLL_SECONDS = 0.25

Event = dict[str, Any]


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


class Lane:
    """Performs one step at a time."""

    def __init__(self, number: int, threads: int, run: RunDirectory, board: ActorHandle, verbose: bool) -> None:
        self._number = number
        self._run = run
        self._board = board
        if not verbose:
            quiet()
        from raykd.train.strategy import use_threads

        use_threads(threads)

    def perform(self, step: Step) -> tuple[float, float]:
        """Do the step's work and mark it done; returns when it began and ended, in Unix seconds."""
        begun = time.time()
        report = Reporter(self._board, self._number, step.name)
        report({"kind": "started"})
        self._run.begin(step.name, step.fingerprint)
        facts = step.work(self._run, report)
        self._run.finish(step.name, step.fingerprint, **facts)
        report({"kind": "finished", **facts})
        return begun, time.time()


class Lanes:
    """A fixed number of lanes; a lane that dies is replaced and its step taken up again.

    Args:
        count: lanes.
        threads: that each computes with.
        cpus: that each holds.
        max_failures: lanes replaced before giving up.
    """

    def __init__(
        self, run: RunDirectory, count: int, threads: int, cpus: float, max_failures: int, verbose: bool
    ) -> None:
        self._run = run
        self._threads = threads
        self._cpus = cpus
        self._failures_left = max_failures
        self._verbose = verbose
        self._board = ray.remote(num_cpus=0)(Board).remote()
        self._idle = {number: self._new(number) for number in range(count)}

    def _new(self, number: int) -> ActorHandle:
        lane = ray.remote(num_cpus=self._cpus)(Lane)
        return lane.remote(number, self._threads, self._run, self._board, self._verbose)

    def perform(
        self, steps: Sequence[Step], show: Callable[[Event], None], check: Callable[[], None]
    ) -> list[tuple[Step, float, float]]:
        """Do all steps, each as soon as what it needs is done and a lane is free.

        Args: steps: without those that are done already; show: gets every event; check: called now and then,
        may raise to stop.
        Returns: each step with the Unix times at which it began and ended.
        Raises: the step's error; RuntimeError when lanes keep dying.
        """
        names = {step.name for step in steps}
        steps = [_without_done_needs(step, names) for step in steps]
        running: dict[Any, tuple[Step, int, ActorHandle]] = {}
        times: dict[str, tuple[Step, float, float]] = {}
        while len(times) < len(steps):
            busy = {step.name for step, _, _ in running.values()}
            for step in ready(steps, times, busy)[: len(self._idle)]:
                number, lane = self._idle.popitem()
                running[lane.perform.remote(step)] = step, number, lane
            finished, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
            self._show_events(show)
            check()
            for reference in finished:
                step, number, lane = running.pop(reference)
                try:
                    times[step.name] = step, *ray.get(reference)
                    self._idle[number] = lane
                except RayActorError as error:
                    self._idle[number] = self._replace(number, step, error, show)
                except RayTaskError as error:
                    raise _cause(error) from None
        self._show_events(show)
        return list(times.values())

    def release(self) -> None:
        """End the lanes, once they are idle: their CPUs are free for others."""
        for lane in [*self._idle.values(), self._board]:
            ray.kill(lane)
        self._idle.clear()

    def _show_events(self, show: Callable[[Event], None]) -> None:
        for event in ray.get(self._board.fetch.remote()):
            show(event)

    def _replace(self, number: int, step: Step, error: RayActorError, show: Callable[[Event], None]) -> ActorHandle:
        if not self._failures_left:
            raise RuntimeError(f"{step.name}: its lane died and no replacement is left: {error}") from error
        self._failures_left -= 1
        show({"lane": number, "step": step.name, "kind": "restarted"})
        return self._new(number)


def _without_done_needs(step: Step, names: set[str]) -> Step:
    return replace(step, needs=tuple(need for need in step.needs if need in names))


def _cause(error: RayTaskError) -> Exception:
    """Bad input keeps its type and one line; anything else keeps its trace."""
    return InputError(str(error.cause)) if isinstance(error.cause, InputError) else error
