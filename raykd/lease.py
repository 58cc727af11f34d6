"""One writer per run directory: a lease file that its holder renews, and a name in the Ray cluster.

The file is advisory and works on any filesystem. The name holds even where clocks differ or the file is lost,
among the jobs of one cluster.
"""

import os
import platform
import threading
import time
import uuid
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any

import psutil

from raykd.artifacts import RunDirectory, fingerprint
from raykd.errors import InputError

LEASE = "lease.json"
STALE_SECONDS = 60.0  # A holder on another machine that did not renew for so long is taken for dead.
_RENEW_SECONDS = 15.0
_SETTLE_SECONDS = 0.2  # Two that start at once: the later to write wins, and both have seen it after this.
_NAME_SECONDS = 15.0  # Ray frees the name of a job that was killed within seconds.
_NAMESPACE = "raykd"


@dataclass(frozen=True)
class Holder:
    """Who writes to a run directory. Times are Unix seconds."""

    owner: str
    host: str
    pid: int
    process_started: float
    since: float
    renewed: float

    @classmethod
    def this_process(cls) -> "Holder":
        """A holder with a fresh identity."""
        started = psutil.Process().create_time()
        now = time.time()
        return cls(uuid.uuid4().hex, platform.node(), os.getpid(), started, now, now)

    def alive(self, host: str, now: float) -> bool:
        """Whether the holder still runs, seen from `host` at `now`."""
        if self.host != host:
            return now - self.renewed < STALE_SECONDS
        try:
            return abs(psutil.Process(self.pid).create_time() - self.process_started) < 1.0
        except psutil.NoSuchProcess:
            return False

    def describe(self, now: float) -> str:
        """For an error message."""
        return f"process {self.pid} on {self.host}, since {(now - self.since) / 60:.0f} min"


class Lease:
    """Holds a run directory for the length of a `with` block.

    Raises: InputError on entering when another process holds it.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._self = Holder.this_process()
        self._released = threading.Event()
        self._renewed = time.monotonic()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._taken_by: Holder | None = None
        self._name: Any = None

    def __enter__(self) -> "Lease":
        found = self._read()
        if found is not None:
            self._refuse_if_alive(found)
        self._write(self._self)
        time.sleep(_SETTLE_SECONDS)
        winner = self._read()
        if winner is not None and winner.owner != self._self.owner:
            raise self._refusal(winner)
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._renewer.join()
        found = self._read()
        if found is not None and found.owner == self._self.owner:
            self._run.delete(LEASE)
        self._name = None  # Without its handle Ray ends the actor.

    def check(self) -> None:
        """Raises: InputError when another process has taken the directory, because this one seemed dead.

        What keeps the file from being renewed, once another may take it for that of a dead process.
        """
        if self._taken_by is None and time.monotonic() - self._renewed > STALE_SECONDS:
            self._renew_once()
        if self._taken_by is not None:
            raise self._refusal(self._taken_by)

    def claim_name(self) -> None:
        """Hold the run directory's name in the connected Ray cluster too, until the block or this driver ends.

        Raises: InputError when another driver of the cluster holds it.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # Beside the driver: any other node may go at any time.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        writer = ray.remote(num_cpus=0, scheduling_strategy=here)(_Writer)
        name = f"writer-{fingerprint(self._run.root)[:16]}"
        deadline = time.monotonic() + _NAME_SECONDS
        while self._name is None:
            try:
                # Ray gives the name at once; the process that stands for it may take a second to come up.
                self._name = writer.options(name=name, namespace=_NAMESPACE).remote(asdict(self._self))
            except ValueError:
                if time.monotonic() > deadline:
                    other = ray.get_actor(name, namespace=_NAMESPACE)
                    raise self._refusal(Holder(**ray.get(other.holder.remote()))) from None
                time.sleep(1.0)

    def _refuse_if_alive(self, found: Holder) -> None:
        if found.alive(self._self.host, time.time()):
            raise self._refusal(found)

    def _refusal(self, holder: Holder) -> InputError:
        return InputError(
            f"{self._run.root}: another run writes here ({holder.describe(time.time())}); wait for it, end it, or "
            "choose another --name"
        )

    def _renew(self) -> None:
        while self._taken_by is None and not self._released.wait(_RENEW_SECONDS):
            try:
                self._renew_once()
            except Exception:  # A file server away for a moment; for longer, `check` meets it itself.
                continue

    def _renew_once(self) -> None:
        found = self._read()
        if found is not None and found.owner != self._self.owner:
            self._taken_by = found
            return
        self._write(replace(self._self, renewed=time.time()))
        self._renewed = time.monotonic()

    def _read(self) -> Holder | None:
        try:
            return Holder(**self._run.read_json(LEASE))
        except FileNotFoundError:
            return None

    def _write(self, holder: Holder) -> None:
        self._run.write_json(LEASE, asdict(holder))


class _Writer:
    """Stands for the driver that writes, under the run directory's name."""

    def __init__(self, holder: dict[str, Any]) -> None:
        self._holder = holder

    def holder(self) -> dict[str, Any]:
        """Who writes."""
        return self._holder
