"""Lanes: actors that work side by side, as many as the cluster has room for; one that is lost is replaced."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.lane import Board, Event, Lane, Share, node_died
from raykd.schedule import Step, ready

_POLL_SECONDS = 0.25
_ANSWER_SECONDS = 20.0  # in which a node that lives answers, be it busy


class Lanes:
    """Lanes that come up as the cluster has room; one that dies is replaced and its step taken up again.

    Args:
        count: lanes.
        share: what each holds.
        max_failures: lanes replaced before giving up; those lost with their node are not counted.
    """

    def __init__(self, run: RunDirectory, count: int, share: Share, max_failures: int, verbose: bool) -> None:
        self._run = run
        self.share = share
        self._failures_left = max_failures
        self._verbose = verbose
        self._board = ray.remote(num_cpus=0, scheduling_strategy=beside_driver())(Board).remote()
        self._coming: dict[Any, tuple[int, ActorHandle]] = {}
        self._idle: dict[int, ActorHandle] = {}
        self._running: dict[Any, tuple[Step, int, ActorHandle]] = {}
        self._nodes: dict[int, str] = {}
        for number in range(count):
            self._start(number)

    def _start(self, number: int) -> None:
        if self.share.helpers:
            lane = ray.remote(num_cpus=0, scheduling_strategy=beside_driver())(Lane)
        else:
            lane = ray.remote(**self.share.held)(Lane)
        handle = lane.remote(number, self.share, self._run, self._board, self._verbose)
        self._coming[handle.ready.remote()] = number, handle

    def perform(
        self,
        steps: Sequence[Step],
        show: Callable[[Event], None],
        check: Callable[[], None],
        waits: Callable[[float], None],
    ) -> list[tuple[Step, float, float]]:
        """Do all steps, each as soon as what it needs is done and a lane is free.

        Args: steps: without those that are done already; show: gets every event; check: called now and then,
        may raise to stop; waits: told now and then for how many seconds no lane has been up, may raise too.
        Returns: each step with the Unix times at which it began and ended.
        Raises: the step's error; RuntimeError when lanes keep dying.
        """
        names = {step.name for step in steps}
        steps = [_without_done_needs(step, names) for step in steps]
        running = self._running
        times: dict[str, tuple[Step, float, float]] = {}
        up = time.monotonic()
        while len(times) < len(steps):
            busy = {step.name for step, _, _ in running.values()}
            for step in ready(steps, times, busy)[: len(self._idle)]:
                number, lane = self._idle.popitem()
                running[lane.perform.remote(step)] = step, number, lane
            self._end_surplus(len(steps) - len(times) - len(running))
            happened, _ = ray.wait([*running, *self._coming], timeout=_POLL_SECONDS)
            self._show_events(show)
            check()
            now = time.monotonic()
            up = now if running or self._idle else up
            waits(now - up)
            for reference in happened:
                if reference in self._coming:
                    self._welcome(reference, show)
                    continue
                step, number, lane = running.pop(reference)
                try:
                    times[step.name] = step, *ray.get(reference)
                    self._idle[number] = lane
                except RayActorError as error:
                    self._replace(number, lane, step.name, error, show)
                except RayTaskError as error:
                    raise _cause(error) from None
        self._show_events(show)
        return list(times.values())

    def release(self) -> None:
        """End the lanes, whatever they do: their CPUs are free for others."""
        working = [lane for *_, lane in [*self._running.values(), *self._coming.values()]]
        for lane in [*self._idle.values(), *working, self._board]:
            ray.kill(lane)
        self._running.clear()
        self._idle.clear()
        self._coming.clear()

    def _end_surplus(self, left: int) -> None:
        """End lanes that no step is left for: their nodes are free."""
        for reference, (_, lane) in list(self._coming.items())[: max(0, len(self._coming) + len(self._idle) - left)]:
            ray.kill(lane)
            del self._coming[reference]
        for number in list(self._idle)[: max(0, len(self._idle) - left)]:
            ray.kill(self._idle.pop(number))

    def _welcome(self, reference: Any, show: Callable[[Event], None]) -> None:
        """A lane has come up, or failed to."""
        number, lane = self._coming.pop(reference)
        try:
            self._nodes[number] = ray.get(reference)
            self._idle[number] = lane
        except RayActorError as error:
            self._replace(number, lane, "its start", error, show)
        except RayTaskError as error:
            raise _cause(error) from None

    def _show_events(self, show: Callable[[Event], None]) -> None:
        for event in ray.get(self._board.fetch.remote()):
            show(event)

    def _replace(
        self, number: int, lane: ActorHandle, step: str, error: RayActorError, show: Callable[[Event], None]
    ) -> None:
        ray.kill(lane)  # It may live yet, out of reach: two must not do the same step.
        lost = _is_lost(self._nodes.pop(number, None), error)
        if not lost:
            if not self._failures_left:
                raise RuntimeError(f"{step}: its lane died and no replacement is left: {error}") from error
            self._failures_left -= 1
        show({"lane": number, "step": step, "kind": "restarted", "lost": lost})
        self._start(number)


def beside_driver() -> NodeAffinitySchedulingStrategy:
    """Where the driver runs: a node that lives as long as it does."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _is_lost(node: str | None, error: RayActorError) -> bool:
    """Whether a lane died with its node. Ray itself takes a while to notice: the node is asked.

    Args: node: None for a lane that never came up, which Ray may have sent to a node that was gone already.
    """
    if node_died(error):
        return True
    if node is None:
        return False
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    answer = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(_answer).remote()
    try:
        ray.get(answer, timeout=_ANSWER_SECONDS)
    except RayError:
        return True
    return False


def _answer() -> None:
    """Nothing: the node that can do it lives."""


def _without_done_needs(step: Step, names: set[str]) -> Step:
    return replace(step, needs=tuple(need for need in step.needs if need in names))


def _cause(error: RayTaskError) -> Exception:
    """Bad input keeps its type and one line; anything else keeps its trace."""
    return InputError(str(error.cause)) if isinstance(error.cause, InputError) else error
