"""Real Ray clusters on this machine, for tests: a head and nodes as processes of their own, with token authentication.

Each is a child that is ended by itself: `ray stop` would end every Ray of the machine.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

PROJECT = Path(__file__).parent.parent
RAY = str(Path(sys.executable).with_name("ray"))
SMALL = Path(__file__).parent / "small.yaml"
HEAD_ID = "f" * 51 + "0" * 5
TIMES = {"wall_seconds", "stages", "training_share"}
SPEEDS = {
    "best_batch",
    "best_batch_examples_per_second",
    "latency_ms_p50",
    "latency_ms_p95",
    "examples_per_second",
    "speedup",
    "speedup_ensemble",
}


@dataclass
class Cluster:
    """A running head, where jobs are submitted, and the nodes that were added to it."""

    folder: Path
    port: int
    dashboard: int
    exported: int
    environment: dict[str, str]
    nodes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def add_node(self, cpus: int = 1) -> None:
        """Another node; returns when it has come up."""
        command = [RAY, "start", "--block", f"--address=127.0.0.1:{self.port}", f"--num-cpus={cpus}"]
        self.nodes.append(_started(lambda: [*command, *_SMALL, *_agent_ports()], self.environment, self.folder))

    def kill_node(self) -> None:
        """Take the first node away, as a cloud does: nothing on it gets to say a word."""
        node = psutil.Process(self.nodes.pop(0).pid)
        for process in [*node.children(recursive=True), node]:
            process.kill()

    def submit(self, *script: str, folder: Path, options: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        """Submit a script of `jobs/` from a folder, and wait for it in another process, which prints its logs."""
        address = f"http://127.0.0.1:{self.dashboard}"
        command = [RAY, "job", "submit", "--address", address, "--working-dir", str(folder), *options, "--", "python"]
        return subprocess.Popen(
            [*command, *script],
            env=self.environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ray(self, *arguments: str) -> str:
        """What a command of Ray's prints."""
        environment = {**self.environment, "RAY_ADDRESS": f"http://127.0.0.1:{self.dashboard}"}
        return subprocess.run(
            [RAY, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=True
        ).stdout

    def metrics(self) -> str:
        """What the head exports for Prometheus; empty before it does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.exported}/metrics", timeout=30) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def live_nodes(self) -> int:
        """Nodes beside the head."""
        code = (
            f"import ray; ray.init(address='127.0.0.1:{self.port}', logging_level='ERROR', log_to_driver=False); "
            "print('nodes beside the head:', sum(node['Alive'] for node in ray.nodes()) - 1)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], env=self.environment, capture_output=True, text=True, timeout=120, check=True
        )
        # Ray may write advice of its own to the same stream, before and after.
        found = re.search(r"nodes beside the head: (\d+)", done.stdout)
        assert found, done.stdout
        return int(found[1])


_STARTS = 4
_SMALL = ["--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]


def _agent_ports() -> list[str]:
    # Another Ray of this machine may hold the usual port of the agent, which takes jobs.
    return [f"--dashboard-agent-listen-port={free_port()}", f"--dashboard-agent-grpc-port={free_port()}"]


@contextmanager
def running(folder: Path, *, cpus: int = 0, autoscaled: bool = False) -> Iterator[Cluster]:
    """A head for the length of a `with` block.

    Args: folder: for its logs; cpus: of the head; autoscaled: nodes of one CPU, from none to two, come as they are
    needed and go after six seconds.
    """
    port, dashboard, exported = free_port(), free_port(), free_port()

    def command() -> list[str]:
        return [
            *(RAY, "start", "--head", "--block", f"--port={port}", f"--dashboard-port={dashboard}"),
            *(f"--metrics-export-port={exported}", "--dashboard-host=127.0.0.1", f"--temp-dir={short}"),
            *(f"--num-cpus={cpus}", *_SMALL, *_agent_ports(), *autoscaling),
        ]

    (folder / "token").write_text("0123456789abcdef" * 4)
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    environment.pop("RAY_ADDRESS", None)
    short = tempfile.mkdtemp(prefix="raykd-")  # Ray's sockets lie below it, and their paths have to be short.
    autoscaling: list[str] = []
    if autoscaled:
        (folder / "autoscaling.yaml").write_text(yaml.safe_dump(_autoscaling(port)))
        autoscaling = [f"--autoscaling-config={folder / 'autoscaling.yaml'}"]
        environment |= {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
    head = _started(command, environment, folder)
    cluster = Cluster(folder, port, dashboard, exported, environment)
    try:
        wait_until(lambda: _answers(dashboard, head), 120, "the head's answer")
        yield cluster
    finally:
        for process in [*cluster.nodes, head]:
            below = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            for left in psutil.wait_procs(below, timeout=10)[1]:
                left.kill()
        shutil.rmtree(short, ignore_errors=True)


def _started(command: Callable[[], list[str]], environment: dict[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    """A node that has come up; Ray gives up after 30 seconds, which a busy machine may need: again then."""
    for _ in range(_STARTS):
        log = folder / f"node-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command(), env=environment, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            if b"Ray runtime started" in log.read_bytes():
                return process
            time.sleep(0.1)
    raise AssertionError(f"no node came up: {log.read_text()}")


def _answers(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "the head ended"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _autoscaling(port: int) -> dict[str, Any]:
    head, node = "ray.head.default", "node"
    return {
        "cluster_name": "test",
        "max_workers": 2,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": f"127.0.0.1:{port}",
            "head_node_id": HEAD_ID,
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "head_node_type": head,
        "available_node_types": {
            head: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            node: {
                "resources": {"CPU": 1, "object_store_memory": 80_000_000},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 2,
            },
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.1) -> None:
    """Return when the condition holds; fail when it doesn't in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(pause)


def small_command(storage: str, settings: Sequence[str] = (), part: str = "run") -> list[str]:
    """`raykd run` of the small job, or a part of it."""
    overrides = [piece for setting in settings for piece in ("--set", setting)]
    return [str(Path(sys.executable).with_name("raykd")), part, str(SMALL), "--storage-path", storage, *overrides]


def run_small(storage: str, settings: Sequence[str] = ()) -> None:
    """Run it to the end."""
    done = subprocess.run(small_command(storage, settings), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def clean_copy(folder: Path) -> Path:
    """A folder with raykd and its jobs alone, and the small configuration."""
    clean = folder / "clean"
    for part in ("raykd", "jobs"):
        shutil.copytree(PROJECT / part, clean / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SMALL, clean / "mine.yaml")
    return clean


def assert_same_evaluation(found: Path, expected: Path) -> None:
    """All figures but times and speeds are equal to 1e-6."""
    first, second = (json.loads((run / "evaluation.json").read_text()) for run in (found, expected))
    assert [model["name"] for model in first["models"]] == [model["name"] for model in second["models"]]
    for one, other in zip(first["models"], second["models"], strict=True):
        for figure in other.keys() - SPEEDS - {"name", "kind", "recipe"}:
            assert one[figure] == pytest.approx(other[figure], abs=1e-6), (one["name"], figure)
    left = first.keys() - TIMES - {"models"}
    assert {name: first[name] for name in left} == {name: second[name] for name in left}
