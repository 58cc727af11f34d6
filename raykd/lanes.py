"""Lanes: Ray actors that work side by side, each with TensorFlow loaded once, and the board they report to."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.quiet import quiet
from raykd.schedule import Step, ready

_POLL_SECONDS = 0.25
_HELPERS_LOST = 10  # while one step is delegated, before it is given up

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


@dataclass(frozen=True)
class Share:
    """What a lane holds.

    Args:
        threads: that it computes with, each on a core of its own.
        gpus: accelerators.
        delegates: whether trainings have workers of their own: the lane then holds nothing and stays beside the
            driver; what it would compute itself is done by a helper with this share.
    """

    threads: int
    gpus: int = 0
    delegates: bool = False

    @property
    def held(self) -> dict[str, float]:
        """What Ray is asked for to compute."""
        return {"num_cpus": self.threads, "num_gpus": self.gpus}


class Lane:
    """Performs one step at a time."""

    def __init__(self, number: int, share: Share, run: RunDirectory, board: ActorHandle, verbose: bool) -> None:
        self._number = number
        self._share = share
        self._run = run
        self._board = board
        self._verbose = verbose
        _prepare(share.threads, verbose)

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
        delegated = self._share.delegates and not step.launched
        facts = self._delegate(step, report) if delegated else step.work(self._run, report)
        self._run.finish(step.name, step.fingerprint, **facts)
        report({"kind": "finished", **facts})
        return begun, time.time()

    def _delegate(self, step: Step, report: Reporter) -> Event:
        """Let a helper do the step; another takes it up again where one is lost."""
        for left in range(_HELPERS_LOST, -1, -1):
            helper = ray.remote(**self._share.held)(Helper).remote(self._share.threads, self._run, self._verbose)
            try:
                facts: Event = ray.get(helper.work.remote(step, report))
                return facts
            except RayActorError:
                if not left:
                    raise
                report({"kind": "restarted"})
            finally:
                ray.kill(helper)
        raise AssertionError


class Helper:
    """Does one step for a lane, on a node of its own."""

    def __init__(self, threads: int, run: RunDirectory, verbose: bool) -> None:
        self._run = run
        _prepare(threads, verbose)

    def work(self, step: Step, report: Reporter) -> Event:
        """Do the step's work. Raises: as it does; InputError when the run directory is not to be seen from here."""
        _check_sight(self._run)
        return step.work(self._run, report)


def _prepare(threads: int, verbose: bool) -> None:
    if not verbose:
        quiet()
    from raykd.train.strategy import use_threads

    use_threads(threads)


def _check_sight(run: RunDirectory) -> None:
    if not run.exists("config.yaml"):
        raise InputError(
            f"storage_path {run.root}: the machine {platform.node()} doesn't see what the driver wrote there; mount "
            "the same folder on all machines, or give --storage-path s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"
        )


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
        self._nodes: dict[int, str] = {}
        for number in range(count):
            self._start(number)

    def _start(self, number: int) -> None:
        if self.share.delegates:
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
        running: dict[Any, tuple[Step, int, ActorHandle]] = {}
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
            up = time.monotonic() if running or self._idle else up
            waits(time.monotonic() - up)
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
        """End the lanes, once they are idle: their CPUs are free for others."""
        for lane in [*self._idle.values(), *(lane for _, lane in self._coming.values()), self._board]:
            ray.kill(lane)
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
        lost = number in self._nodes and not _is_alive(self._nodes.pop(number))
        if not lost:
            if not self._failures_left:
                raise RuntimeError(f"{step}: its lane died and no replacement is left: {error}") from error
            self._failures_left -= 1
        show({"lane": number, "step": step, "kind": "restarted", "lost": lost})
        self._start(number)


def beside_driver() -> NodeAffinitySchedulingStrategy:
    """Where the driver runs: a node that lives as long as it does."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _is_alive(node: str) -> bool:
    return any(one["NodeID"] == node and one["Alive"] for one in ray.nodes())


def _without_done_needs(step: Step, names: set[str]) -> Step:
    return replace(step, needs=tuple(need for need in step.needs if need in names))


def _cause(error: RayTaskError) -> Exception:
    """Bad input keeps its type and one line; anything else keeps its trace."""
    return InputError(str(error.cause)) if isinstance(error.cause, InputError) else error
