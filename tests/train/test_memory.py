"""Memory stays flat as rows grow: shards stream through driver and worker."""

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FEW, TIMES = 100_000, 20

TRAIN = """
import json, resource, sys
from raykd.artifacts import RunDirectory
from raykd.bench.examples import write_examples
from raykd.cluster import connect
from raykd.config import CustomModelConfig, DataConfig, ScalingConfig, TrainingConfig
from raykd.losses import Objective
from raykd.models.build import ModelSpec
from raykd.train.job import TrainJob
from raykd.train.launch import launch
from test_memory import TellPeak

folder, rows = sys.argv[1], int(sys.argv[2])
run = RunDirectory(folder)
if rows:
    write_examples(run, {"train": rows, "validation": 64}, length=64, shards=rows // 2500)
else:
    from raykd.data.shards import read_manifest
    manifest = read_manifest(run)
    job = TrainJob(
        folder="trained", model=ModelSpec(CustomModelConfig(type="bodies:mean_of_tokens"), manifest.inputs, 2),
        training=TrainingConfig(epochs=1, batch_size=1024, jit_compile=False), seed=0, splits=("train",),
        objective=Objective(), alpha=0.0, temperature=1.0, data=DataConfig(cache="none"), keep_best=False,
    )
    with connect(None, verbose=False):
        launch(job, run, TellPeak(folder + "/worker.json"), ScalingConfig(workers=1))
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""


@dataclass(frozen=True)
class TellPeak:
    """Rank 0's reporter: writes the worker's peak memory, in KiB, where the test finds it."""

    path: str

    def __call__(self, event: dict[str, Any]) -> None:
        Path(self.path).write_text(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def _run(folder: Path, rows: int) -> str:
    command = [sys.executable, "-c", TRAIN, str(folder), str(rows)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _peaks(folder: Path, rows: int) -> dict[str, int]:
    """Peak memory in KiB of driver and worker; another process has written the rows."""
    _run(folder, rows)
    driver = int(_run(folder, 0).splitlines()[-1])
    return {"driver": driver, "worker": json.loads((folder / "worker.json").read_text())}


@pytest.mark.slow
def test_twenty_times_the_rows_need_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
    few, many = (_peaks(tmp_path / str(rows), rows) for rows in (FEW, TIMES * FEW))
    print(few, many)
    assert all(many[process] < 1.1 * few[process] for process in few), (few, many)
