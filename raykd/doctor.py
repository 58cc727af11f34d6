"""What a job needs of this machine and cluster, checked one by one; each failing line with its remedy."""

import os
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from raykd.artifacts import RunDirectory
from raykd.errors import InputError

_DISTRIBUTION = "raykd"
_TOGETHER = ("ray", "tensorflow", "keras")
_LEAST_MEMORY = 2 << 30  # bytes: what the smallest jobs take
_LEAST_SHARED_MEMORY = 1 << 30  # bytes: Ray's object store
_LEAST_DISK = 1 << 30  # bytes
_TASK_SECONDS = 60.0
_KNOCK_SECONDS = 10.0
_GIB = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and the remedy where that fails; `ok` is None for a mere note."""

    subject: str
    ok: bool | None
    found: str
    remedy: str = ""


def examine(storage_path: str, address: str | None) -> Iterator[Finding]:
    """Look at everything, cheapest first. Args: address: of a Ray cluster; None: RAY_ADDRESS, or Ray started here."""
    yield python()
    yield from packages(_requirements())
    yield from extras(_requirements())
    yield memory(psutil.virtual_memory().available)
    yield from shared_memory("/dev/shm")
    yield storage(storage_path)
    yield from _guarded("tensorflow", _devices, "reinstall it: pip install --force-reinstall tensorflow")
    where = address or os.environ.get("RAY_ADDRESS")
    remedy = (
        "see that it runs, that this machine reaches it, and that RAY_AUTH_MODE and the token are those of the cluster"
        if where
        else "look at /tmp/ray/session_latest/logs; free memory, or remove what blocks its ports"
    )
    yield from _guarded(f"Ray cluster {where}" if where else "Ray here", lambda: _cluster(where, storage_path), remedy)


def python() -> Finding:
    """The interpreter, by what the installed distribution asks for."""
    wanted = metadata.metadata(_DISTRIBUTION)["Requires-Python"] or ""
    found = platform.python_version()
    return Finding("Python", found in SpecifierSet(wanted), found, f"install Python {wanted} and raykd in it")


def _requirements() -> list[Requirement]:
    return [Requirement(line) for line in metadata.requires(_DISTRIBUTION) or ()]


def packages(requirements: list[Requirement]) -> Iterator[Finding]:
    """Packages that raykd can't do without: one line for each that is wrong, and for those that must go together."""
    fine = 0
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = _version(requirement.name)
        ok = found is not None and requirement.specifier.contains(found, prereleases=True)
        fine += ok
        if not ok or requirement.name in _TOGETHER:
            wanted = f"{requirement.name}{requirement.specifier}"
            shown = f"{found or 'not installed'} (goes with {requirement.specifier})"
            yield Finding(requirement.name, ok, shown, f"pip install '{wanted}'")
    yield Finding("packages", None, f"{fine} as they should be")


def extras(requirements: list[Requirement]) -> Iterator[Finding]:
    """Optional packages, by extra: installed or not."""
    for extra in metadata.metadata(_DISTRIBUTION).get_all("Provides-Extra") or ():
        own = [
            requirement.name
            for requirement in requirements
            if requirement.marker is not None
            and requirement.marker.evaluate({"extra": extra})
            and not requirement.marker.evaluate({"extra": ""})
        ]
        missing = [name for name in own if _version(name) is None]
        found = f"without {', '.join(missing)}: pip install 'raykd[{extra}]'" if missing else "installed"
        yield Finding(f"extra {extra}", None, found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def memory(available: int) -> Finding:
    """Memory of this machine. Args: available: bytes."""
    found = f"{available / _GIB:.1f} GiB available, {os.cpu_count()} cores"
    return Finding("memory", available >= _LEAST_MEMORY, found, "free some: small jobs take 2 GiB")


def shared_memory(folder: str) -> Iterator[Finding]:
    """Where Ray's object store lives on Linux."""
    if os.path.isdir(folder):
        total = shutil.disk_usage(folder).total
        remedy = "give it 1 GiB or more, in a container with --shm-size=2g: Ray's object store would be slow on disk"
        yield Finding("shared memory", total >= _LEAST_SHARED_MEMORY, f"{total / _GIB:.1f} GiB in {folder}", remedy)


def storage(path: str) -> Finding:
    """Whether runs can be written."""
    folder = RunDirectory.opened(path)
    try:
        folder.prepare()
    except InputError as error:
        found, _, remedy = str(error).rpartition("; ")
        return Finding("storage path", False, found, remedy)
    if "://" in path:
        return Finding("storage path", True, f"{path} can be written")
    free = shutil.disk_usage(folder.path()).free
    found = f"{folder.path()} can be written, {free / _GIB:.1f} GiB free"
    return Finding("storage path", free >= _LEAST_DISK, found, "free some space or choose another with --storage-path")


def _guarded(subject: str, look: Callable[[], Iterator[Finding]], remedy: str) -> Iterator[Finding]:
    """What `look` finds; whatever it raises is a finding too: libraries fail in many ways."""
    try:
        yield from look()
    except InputError as error:
        yield Finding(subject, False, str(error).partition("; ")[0], remedy)
    except Exception as error:
        yield Finding(subject, False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", remedy)


def _devices() -> Iterator[Finding]:
    from raykd.quiet import quiet, silenced

    quiet()
    with silenced():
        import tensorflow as tf

    accelerators = [device.name for device in tf.config.list_physical_devices("GPU")]
    if accelerators or shutil.which("nvidia-smi") is None:
        yield Finding("devices", True, f"{', '.join(accelerators) or 'no accelerator'}, processor")
    else:
        found = "there is an accelerator (nvidia-smi), and TensorFlow doesn't see it"
        yield Finding("devices", False, found, "pip install 'raykd[gpu]', and see that the driver fits its CUDA")


def _cluster(address: str | None, storage_path: str) -> Iterator[Finding]:
    """Ray joined or started: a task runs, and every node reaches the storage path."""
    from raykd.cluster import connect

    with connect(address, verbose=False) as cluster:
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"]]
        doubled = ray.remote(num_cpus=0)(_double)
        if ray.get(doubled.remote(21), timeout=_TASK_SECONDS) != 42:
            raise RuntimeError("a task returned another value")
        subject = f"Ray cluster {address}" if address else "Ray here"
        yield Finding(subject, True, f"{len(nodes)} node(s), {cluster.cpus} CPUs, a task ran")
        if len(nodes) > 1:
            yield _seen_by_all([node["NodeID"] for node in nodes], storage_path)


def _seen_by_all(nodes: list[str], storage_path: str) -> Finding:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder = RunDirectory.opened(storage_path)
    probe = f".doctor-{uuid.uuid4().hex}"
    folder.write_bytes(probe, b"")
    look = ray.remote(num_cpus=0)(_sees)
    try:
        seen = ray.get(
            [
                look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(folder, probe)
                for node in nodes
            ],
            timeout=_TASK_SECONDS,
        )
    finally:
        folder.delete(probe)
    blind = [node[:12] for node, sees in zip(nodes, seen, strict=True) if not sees]
    found = f"{len(nodes) - len(blind)} of {len(nodes)} nodes reach {storage_path}"
    found += f"; not {', '.join(blind)}" if blind else ""
    return Finding(
        "shared storage", not blind, found, "mount it on every node, or use a URI such as s3://bucket/folder"
    )


def _double(value: int) -> int:
    return 2 * value


def _sees(folder: RunDirectory, probe: str) -> bool:
    return folder.exists(probe)
