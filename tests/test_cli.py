"""The command as a user types it: bad input is one line and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest


def _raykd(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("raykd")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["missing.yaml"], ["missing.yaml", "No such file", "quickstart"]),
        (["digits", "--set", "distill.alhpa=0.5"], ["distill.alhpa", "unknown key", "did you mean alpha?"]),
        (["digits", "--set", "distill.temperature=0"], ["distill.temperature", "found 0", "greater than 0"]),
        (["digits", "--set", "distill.alpha=1.5"], ["distill.alpha", "found 1.5", "less than or equal to 1"]),
        (["digits", "--set", "data.source=/nowhere.parquet"], ["data.source", "/nowhere.parquet", "expected"]),
        (["mnist"], ["data.source: FOLDER", "no such file or folder", "--set data.source=FOLDER"]),
        (["digits", "--set", "distill.stage1.augment.mixup=0.2"], ["stage1.augment.mixup: found 0.2", "remove it"]),
        (["digits", "--seeds", "a"], ["--seeds a", "expected whole numbers"]),
        (["digits", "--seeds", "0,x", "--dry-run"], ["--seeds 0,x", "expected whole numbers"]),
        (["digits", "--address", "nonsense"], ["--address nonsense: found no Ray cluster", "127.0.0.1:6379"]),
        (["digits", "--address", "127.0.0.1:9"], ["--address 127.0.0.1:9: found no Ray cluster", "refused"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    done = _raykd("run", *arguments, "--storage-path", str(tmp_path))
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert all(part in line for part in parts), line


def test_unwritable_storage_path_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = _raykd("run", "digits", "--storage-path", str(tmp_path / "file"))
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "--storage-path" in line


def test_dry_run_shows_steps_and_runs_nothing(tmp_path: Path) -> None:
    done = _raykd("run", "digits", "--dry-run", "--storage-path", str(tmp_path))
    assert done.returncode == 0
    assert "students/many_on_one" in done.stdout
    assert "to do" in done.stdout
    assert not list(tmp_path.iterdir())
    done = _raykd("run", "digits", "--dry-run", "--seeds", "4,5", "--name", "26", "--storage-path", str(tmp_path))
    assert done.returncode == 0
    assert [name in done.stdout for name in ("26-seed4", "26-seed5")] == [True, True]
