"""The scripts for `ray job submit`, on a real head with token authentication."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A running head: where jobs are submitted, and the environment that may submit them."""

    address: str
    environment: dict[str, str]


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    port, dashboard = _free_port(), _free_port()
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 4)
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    environment.pop("RAY_ADDRESS", None)
    command = [RAY, "start", "--head", "--block", f"--port={port}", f"--dashboard-port={dashboard}", "--num-cpus=2"]
    folder = tempfile.mkdtemp(prefix="raykd-")  # A short path: Ray's sockets lie below it.
    # Another Ray of this machine may hold the usual port of the agent, which takes jobs.
    command += [f"--dashboard-agent-listen-port={_free_port()}"]
    command += ["--dashboard-host=127.0.0.1", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}"]
    log = (tmp_path / "head.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(dashboard, process)
        yield Head(f"http://127.0.0.1:{dashboard}", environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "the head ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("the head does not answer")


def _submit(command: list[str], head: Head, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Submit, again while the head has not started what takes jobs: its message asks for that."""
    deadline = time.monotonic() + 90
    while True:
        done = subprocess.run(
            command, env=head.environment, cwd=folder, capture_output=True, text=True, timeout=500, check=False
        )
        if "No available agent to submit job" not in done.stderr or time.monotonic() > deadline:
            return done


@pytest.mark.slow
def test_tmkd_runs_as_a_job_from_a_clean_folder(head: Head, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    for part in ("raykd", "jobs"):
        shutil.copytree(PROJECT / part, clean / part, ignore=shutil.ignore_patterns("__pycache__"))
    storage = tmp_path / "runs"
    script = [sys.executable, "jobs/tmkd.py", "digits", "--storage-path", str(storage), "--name", "job"]
    script += ["--set", "distill.recipes=[plain, many_on_one]"]
    command = [RAY, "job", "submit", "--address", head.address, "--working-dir", str(clean), "--", *script]
    done = _submit(command, head, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    evaluation = json.loads((storage / "job" / "evaluation.json").read_text())
    accuracy = {model["name"]: model["accuracy"] for model in evaluation["models"]}
    assert accuracy["student/many_on_one"] > 0.8
