"""A run killed at any moment and started again ends with the same evaluation."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TIMES = {"wall_seconds", "stages", "training_share"}
SPEEDS = {"latency_ms_p50", "latency_ms_p95", "examples_per_second", "speedup", "speedup_ensemble"}


def _command(storage: Path, name: str) -> list[str]:
    raykd = str(Path(sys.executable).with_name("raykd"))
    return [raykd, "run", "digits", "--storage-path", str(storage), "--name", name]


def _timeless(storage: Path, name: str) -> dict[str, Any]:
    evaluation = json.loads((storage / name / "evaluation.json").read_text())
    models = [{key: value for key, value in model.items() if key not in SPEEDS} for model in evaluation["models"]]
    return {**{key: value for key, value in evaluation.items() if key not in TIMES}, "models": models}


def _kill_when(storage: Path, name: str, pattern: str) -> None:
    """Start the run and SIGKILL it as soon as a file matches."""
    process = subprocess.Popen(_command(storage, name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list((storage / name).glob(pattern)):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, f"nothing matched {pattern}"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_killed_runs_end_with_the_same_evaluation(tmp_path: Path) -> None:
    subprocess.run(_command(tmp_path, "whole"), check=True, timeout=600, capture_output=True)
    for pattern in ("examples/settings.json", "teachers/*/checkpoints/*.npz", "students/*/stage1/checkpoints/*.npz"):
        _kill_when(tmp_path, "killed", pattern)
    subprocess.run(_command(tmp_path, "killed"), check=True, timeout=600, capture_output=True)
    whole, killed = _timeless(tmp_path, "whole"), _timeless(tmp_path, "killed")
    assert [model["name"] for model in killed["models"]] == [model["name"] for model in whole["models"]]
    for found, expected in zip(killed["models"], whole["models"], strict=True):
        for figure in expected.keys() - {"name", "kind", "recipe"}:
            assert found[figure] == pytest.approx(expected[figure], abs=1e-6), (found["name"], figure)
