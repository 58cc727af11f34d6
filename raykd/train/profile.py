"""Where a training's time goes: seconds by activity, and what TensorFlow computes in some of its steps.

profile/
  <training>.json                    seconds, and the operations that took most of them
  <training>/plugins/profile/<time>/ a trace for TensorBoard (its plugin: `pip install xprof`)
"""

import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from raykd.artifacts import PROFILE, RunDirectory
from raykd.train.totals import Totals

_TRACED_CALLS = 4  # after the first, which traces and compiles, and those that try ways to take steps
_OPERATIONS = 12
_NODE = re.compile(r"[^:]+:([^: ]+)")  # of a graph: its path and its kind
_NUMBER = re.compile(r"(\.\d+|_\d+)+$")
# Frames around operations, and waiting: their own time is none of the computation.
_FRAMES = re.compile(
    r"Execut|Await|BlockUntilReady|KernelAndDevice|ParallelFor|FunctionRun|Captured|Process$"
    r"|^PyFunc$|^tf\.|^convert_to_tensor$|^_+[a-z]"  # the feed's and Python's own; the last are functions
)

TakeSteps = Callable[[int], Totals]
Facts = dict[str, Any]


class Profile:
    """Of one training; does nothing where it isn't wanted.

    Args: folder: of the training; wanted: whether this process profiles it.
    """

    def __init__(self, run: RunDirectory, folder: str, *, wanted: bool) -> None:
        self._run = run
        self._training = folder
        self._place = f"{PROFILE}/{folder.replace('/', '-')}"
        self._wanted = wanted
        self._begun = time.perf_counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._calls = self._warm_calls = 0
        self._traced_steps = 0
        self._local: tempfile.TemporaryDirectory[str] | None = None
        self._operations: list[Facts] = []

    @contextmanager
    def spending(self, activity: str) -> Iterator[None]:
        """Count the seconds within as this activity's."""
        begun = time.perf_counter()
        yield
        self._seconds[activity] += time.perf_counter() - begun

    def watched(self, take_steps: TakeSteps, settled: Callable[[], bool]) -> TakeSteps:
        """The same, with its calls timed and some of them traced.

        Args: settled: whether a call no longer tries ways to take steps.
        """
        if not self._wanted:
            return take_steps
        self._seconds["starting"] = time.perf_counter() - self._begun

        def take(count: int) -> Totals:
            warm = self._calls > 0 and settled()
            if warm and not self._warm_calls:
                self._start_trace()
            begun = time.perf_counter()
            totals = take_steps(count)
            waited = float(totals.waited)  # Also waits for the steps to end.
            spent = time.perf_counter() - begun
            self._seconds["waiting for data"] += waited
            self._seconds["steps" if warm else "first calls, compiling"] += spent - waited
            if self._local is not None:
                self._traced_steps += count
            self._calls += 1
            self._warm_calls += warm
            if self._warm_calls == _TRACED_CALLS:
                self._end_trace()
            return totals

        return take

    def publish(self) -> None:
        """Write what was found, when the training has ended."""
        if not self._wanted:
            return
        self._end_trace()
        rest = time.perf_counter() - self._begun - sum(self._seconds.values())
        seconds = {**self._seconds, "all else": max(0.0, rest)}
        traced = {"traced_steps": self._traced_steps, "operations": self._operations}
        self._run.write_json(f"{self._place}.json", {"training": self._training, "seconds": seconds, **traced})

    def _start_trace(self) -> None:
        self._local = tempfile.TemporaryDirectory(prefix="raykd-profile-")
        tf.profiler.experimental.start(self._local.name)

    def _end_trace(self) -> None:
        if self._local is None:
            return
        tf.profiler.experimental.stop()
        for path in Path(self._local.name).rglob("*.xplane.pb"):
            content = path.read_bytes()
            self._run.write_bytes(f"{self._place}/{path.relative_to(self._local.name).as_posix()}", content)
            self._operations = operations_in(content)
        self._local.cleanup()
        self._local = None


def operations_in(trace: bytes) -> list[Facts]:
    """The operations that computed longest: `operation`, `count`, and `seconds` summed over threads.

    Args: trace: an XSpace, as TensorFlow's profiler writes it. Time of an operation is its own, without that of those
    within it; numbers at the end of names are left out, so that equal operations count together.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(trace)
    seconds: defaultdict[str, float] = defaultdict(float)
    counts: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for metadata, own in _own_times(line.events):
                name = _operation(plane.event_metadata[metadata].name)
                if name:
                    seconds[name] += own / 1e12
                    counts[name] += 1
    longest = sorted(seconds, key=lambda name: -seconds[name])[:_OPERATIONS]
    return [{"operation": name, "count": counts[name], "seconds": seconds[name]} for name in longest]


def _own_times(events: Iterable[Any]) -> Iterator[tuple[int, int]]:
    """Each event's name, as a number, and its picoseconds without those of the events within it."""
    open_: list[list[int]] = []  # name, end, own time
    for event in sorted(events, key=lambda one: (one.offset_ps, -one.duration_ps)):
        while open_ and open_[-1][1] <= event.offset_ps:
            name, _, own = open_.pop()
            yield name, own
        if open_:
            open_[-1][2] -= event.duration_ps
        open_.append([event.metadata_id, event.offset_ps + event.duration_ps, event.duration_ps])
    for name, _, own in open_:
        yield name, own


def _operation(name: str) -> str:
    """The kind of an operation, or nothing for what is none: TensorFlow says path:kind, XLA kind.number."""
    node = _NODE.fullmatch(name)
    kind = node[1] if node else name
    return "" if _FRAMES.search(kind) or " " in kind else _NUMBER.sub("", kind)
