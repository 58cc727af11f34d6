"""Sweeps by Ray Tune over the cached logits of the finished digits run: no teacher runs."""

import csv
import io
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from raykd import pipeline
from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.distill.sweep import sweep
from raykd.distill.trials import Record, read_records, save_record, trial_folder
from raykd.errors import InputError
from raykd.loading import load_config

SHORT = ("distill.stage1.epochs=2", "distill.stage2.epochs=2")
TIMES = {"seconds"}


@pytest.fixture
def taught(digits_run: tuple[RunDirectory, dict[str, Any]], tmp_path: Path) -> str:
    """A storage path with a run that has its teachers and their logits, and no student."""
    for name in ("examples", "teachers", "logits"):
        shutil.copytree(Path(digits_run[0].path(name)), tmp_path / "digits" / name)
    return str(tmp_path)


def swept(storage: str, *overrides: str) -> tuple[Config, RunDirectory, dict[str, Any]]:
    config = load_config("digits", [f"storage_path={storage}", *overrides])
    best = pipeline.sweep(config)
    return config, RunDirectory.at(storage, "digits"), best


def table(run: RunDirectory) -> list[dict[str, str]]:
    rows = csv.DictReader(io.StringIO(run.read_bytes("sweep/trials.csv").decode()))
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


GRID = (
    *SHORT, "sweep.searcher=grid", "sweep.scheduler=none", "sweep.temperature=[2, 4]", "sweep.alpha=[0.9]",
    "sweep.learning_rate=[1.0e-3, 1.0e+38]",
)  # fmt: skip


@pytest.mark.slow
def test_grid_records_every_trial_and_goes_on_with_what_is_missing(taught: str) -> None:
    _, run, best = swept(taught, *GRID)
    rows = table(run)
    assert [(row["trial"], float(row["temperature"]), float(row["learning_rate"])) for row in rows] == [
        ("0", 4.0, 1e-3), ("1", 2.0, 1e-3), ("2", 2.0, 1e38), ("3", 4.0, 1e38),
    ]  # fmt: skip
    assert [row["status"] for row in rows] == ["finished", "finished", "failed", "failed"]
    assert "the loss is no longer finite at step" in rows[2]["reason"]
    assert rows[0]["epochs"] == "4"
    assert best["validation_accuracy"] == max(float(row["validation_accuracy"]) for row in rows[:2])
    assert best["settings"] == read_records(run)[best["trial"]].settings
    assert (best["trained"], best["finished"], best["failed"]) == (4, 2, 2)
    assert best["steps"] == sum(int(row["steps"]) for row in rows)

    # No teacher ran: the store counts every row that one scores.
    scored = best["teacher_rows_scored"]
    assert scored["before"] == scored["after"] > 0
    assert not list(Path(run.path("sweep")).rglob("checkpoints"))

    # A lost trial is done again, and gives the same figures; the others are taken as they are.
    run.delete(f"{trial_folder(1)}.json")
    run.delete_folder(trial_folder(1))
    run.delete("sweep/done.json")
    kept = {number: Path(run.path(f"{trial_folder(number)}.json")).stat().st_mtime_ns for number in (0, 2, 3)}
    _, _, again = swept(taught, *GRID)
    assert again["trained"] == 1
    assert table(run) == rows
    assert kept == {number: Path(run.path(f"{trial_folder(number)}.json")).stat().st_mtime_ns for number in kept}


@pytest.mark.slow
def test_trial_0_is_the_student_that_the_configuration_trains(
    taught: str, digits_run: tuple[RunDirectory, dict[str, Any]]
) -> None:
    _, run, best = swept(taught, "sweep.trials=1")
    student = digits_run[0].facts("students/many_on_one")
    assert best["own"]["validation_accuracy"] == student["validation_accuracy"]
    assert best["own"]["epochs"] == student["epochs"]
    assert read_records(run)[0].status == "finished"


@pytest.mark.slow
def test_a_stopped_trial_leaves_its_process_to_the_next(taught: str) -> None:
    # Trial 1 sets the mark; those with almost no learning rate fall behind it after the first epoch.
    _, run, best = swept(
        taught, *SHORT, "sweep.searcher=grid", "sweep.temperature=[3, 5]", "sweep.alpha=[0.8]",
        "sweep.learning_rate=[1.0e-3, 1.0e-9]", "scaling.lanes=1",
    )  # fmt: skip
    records = read_records(run)
    assert [record.settings["learning_rate"] for record in records] == [1e-3, 1e-3, 1e-9, 1e-3, 1e-9]
    assert [records[number].status for number in (0, 2, 4)] == ["finished", "stopped", "stopped"]
    assert records[2].epochs < records[0].epochs == 4
    assert records[3].epochs >= 1  # after trial 2, in the same process
    assert not [record for record in records if record.status == "failed"]
    assert not list(Path(run.path("sweep")).rglob("checkpoints"))
    assert best["trial"] in (0, 1, 3)


@pytest.mark.slow
def test_optuna_learns_from_recorded_trials_and_goes_on_with_a_half_done_one(taught: str) -> None:
    settings = (*SHORT, "sweep.scheduler=none", "sweep.share=0.5", "sweep.soft_loss=[kl, logit_mse]")
    _, run, _ = swept(taught, *settings, "sweep.trials=6")
    records = read_records(run)
    assert [record.status for record in records] == ["finished"] * 6
    assert all(1.0 <= record.settings["temperature"] <= 8.0 for record in records)
    assert len({str(record.settings) for record in records}) == 6
    run.delete(f"{trial_folder(4)}.json")  # begun, but not ended
    run.delete(f"{trial_folder(5)}.json")
    run.delete(f"{trial_folder(5)}/settings.json")  # not begun
    run.delete("sweep/done.json")
    _, _, again = swept(taught, *settings, "sweep.trials=6")
    after = read_records(run)
    assert again["trained"] == 2
    assert [record.settings for record in after[:5]] == [record.settings for record in records[:5]]
    assert after[5].settings not in [record.settings for record in after[:5]]


@pytest.mark.slow
def test_share_takes_part_of_each_epochs_steps(taught: str) -> None:
    _, run, _ = swept(taught, *SHORT, "sweep.trials=1", "sweep.share=0.25")
    # Stage 1 reads its rows in 40 steps of 32 or fewer, stage 2 in 10.
    assert _steps(run, "stage1") == [10, 20]
    assert _steps(run, "stage2") == [3, 6]
    assert read_records(run)[0].steps == 26


def _steps(run: RunDirectory, stage: str) -> list[int]:
    return [epoch["step"] for epoch in run.read_json(f"{trial_folder(0)}/{stage}/history.json")]


def test_when_every_trial_failed_one_line_tells_why(run_directory: RunDirectory) -> None:
    config = load_config("digits", ["sweep.trials=2"])
    for number, reason in enumerate(["FloatingPointError: too wild", "out of memory"]):
        save_record(run_directory, Record(number, "failed", {}, reason=reason))
    with pytest.raises(InputError, match=r"all 2 trials failed, .*FloatingPointError: too wild; .*delete"):
        sweep(config, run_directory, lambda event: None, together=1, threads=1)


@pytest.mark.slow
def test_run_trains_its_students_with_the_best_settings(taught: str) -> None:
    storage = taught
    config = load_config(
        "digits",
        [f"storage_path={storage}", *SHORT, "sweep.enabled=true", "sweep.searcher=grid", "sweep.scheduler=none",
         "sweep.temperature=[2]", "sweep.alpha=[0.5]", "distill.temperature=8", "distill.alpha=1",
         "distill.recipes=[many_on_one]"],
    )  # fmt: skip
    evaluation = pipeline.run(config)
    run = RunDirectory.at(storage, "digits")
    best = run.read_json("sweep/best.json")
    # The same seeds, settings and rows: the student is the best trial over again.
    assert run.facts("students/many_on_one")["validation_accuracy"] == best["validation_accuracy"]
    assert "sweep" in [stage["name"] for stage in evaluation["stages"]]
    assert "Sweep of temperature and alpha" in run.read_bytes("report.html").decode()
    assert not list(Path(run.path()).rglob("checkpoints"))
    assert pipeline.run(config) == evaluation


@pytest.mark.slow
def test_a_killed_sweep_ends_with_the_same_trials(taught: str, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "digits", tmp_path / "killed")
    settings = ("sweep.searcher=random", "sweep.scheduler=none", "sweep.trials=4")
    _, whole, _ = swept(taught, *settings)
    run = RunDirectory.at(taught, "killed")
    command = [str(Path(sys.executable).with_name("raykd")), "sweep", "digits", "--storage-path", taught]
    command += ["--name", "killed", *(part for setting in settings for part in ("--set", setting))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    # Two trials are recorded, and the next are in the middle of stage 1.
    while len(read_records(run)) < 2 or not list(Path(run.path("sweep")).rglob("step-*.npz")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not run.exists("sweep/done.json")
    subprocess.run(command, check=True, timeout=200, capture_output=True)
    assert table(run) == table(whole)
    assert run.read_json("sweep/best.json")["trained"] <= 2
