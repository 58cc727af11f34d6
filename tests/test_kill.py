"""A run killed at ten random moments and started again each time ends with the same evaluation."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from clusters import assert_same_evaluation, run_small, small_command

KILLS = 10


def _outputs(storage: Path) -> set[Path]:
    """What marks progress: claims, checkpoints and finished steps."""
    return {path for name in ("settings.json", "*.npz", "done.json") for path in (storage / "small").rglob(name)}


def _kill_after(storage: Path, outputs: int, seconds: float) -> None:
    """Start the run and SIGKILL it so many seconds after it made so many new outputs."""
    before = _outputs(storage)
    process = subprocess.Popen(small_command(str(storage)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(_outputs(storage) - before) < outputs:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.02)
    time.sleep(seconds)
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_killed_runs_end_with_the_same_evaluation(small_run: Path, tmp_path: Path) -> None:
    moments = random.Random(0)
    for _ in range(KILLS):
        _kill_after(tmp_path, moments.randint(1, 3), moments.uniform(0.0, 0.4))
    run_small(str(tmp_path))
    assert_same_evaluation(tmp_path / "small", small_run)
