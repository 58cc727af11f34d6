"""A run killed at ten random moments and started again each time ends with the same evaluation."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clusters import SMALL, assert_same_evaluation

KILLS = 10


def _command(storage: Path, name: str) -> list[str]:
    raykd = str(Path(sys.executable).with_name("raykd"))
    return [raykd, "run", str(SMALL), "--storage-path", str(storage), "--name", name]


def _outputs(storage: Path) -> set[Path]:
    """What marks progress: claims, checkpoints and finished steps."""
    return {path for name in ("settings.json", "*.npz", "done.json") for path in (storage / "killed").rglob(name)}


def _kill_after(storage: Path, outputs: int, seconds: float) -> None:
    """Start the run and SIGKILL it so many seconds after it made so many new outputs."""
    before = _outputs(storage)
    process = subprocess.Popen(_command(storage, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(_outputs(storage) - before) < outputs:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.02)
    time.sleep(seconds)
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_killed_runs_end_with_the_same_evaluation(tmp_path: Path) -> None:
    subprocess.run(_command(tmp_path, "whole"), check=True, timeout=600, capture_output=True)
    moments = random.Random(0)
    for _ in range(KILLS):
        _kill_after(tmp_path, moments.randint(1, 3), moments.uniform(0.0, 0.4))
    subprocess.run(_command(tmp_path, "killed"), check=True, timeout=600, capture_output=True)
    assert_same_evaluation(tmp_path / "killed", tmp_path / "whole")
