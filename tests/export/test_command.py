"""`raykd export` as a user types it, and the export at the end of a run."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_run import tiny_config, write_run

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.export.loader import Bundle
from raykd.loading import load_config

_STUDENT = {"type": "cross_encoder", "layers": 1, "width": 16}


def _raykd(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("raykd")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["export", "nothing"], ["nothing: found no config.yaml in", "expected a run directory"]),
        (["export", "digits"], ["found no evaluation, expected a finished run"]),
        (["export", "digits", "--format", "onnx,tflite"], ["export.formats.1: found 'tflite'", "'litert'"]),
        (["export", "digits", "--model", "best"], ["export.model: found best, expected one of teacher/wide"]),
        (["serve", "nothing", "--port", "0"], ["--port"]),
    ],
)
def test_bad_input_is_exit_code_2(tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    RunDirectory.at(str(tmp_path), "digits").write_bytes(
        "config.yaml", load_config("digits").model_dump_json().encode()
    )
    done = _raykd(*arguments, "--storage-path", str(tmp_path))
    assert done.returncode == 2
    assert all(part in done.stderr for part in parts), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_command_writes_a_bundle_once(tmp_path: Path) -> None:
    run = write_run(tiny_config(str(tmp_path), _STUDENT), ["student/many_on_one"])
    done = _raykd("export", run.root, "--licence", "mit")
    assert (done.returncode, done.stderr) == (0, "")
    assert "saved_model" in done.stdout
    assert "1e-05" in done.stdout
    folder = Path(run.path("export/student/many_on_one"))
    assert Bundle(folder)([["a", "b"]]).shape == (1, 2)
    before = (folder / "manifest.json").stat().st_mtime_ns
    assert _raykd("export", run.root, "--licence", "mit").returncode == 0
    assert (folder / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_run_exports_at_its_end(
    tmp_path: Path, digits_config: Config, digits_run: tuple[RunDirectory, dict[str, Any]]
) -> None:
    from raykd.pipeline import run

    shutil.copytree(digits_run[0].path(), tmp_path / digits_config.name)
    section = digits_config.export.model_copy(update={"formats": ["saved_model", "onnx"]})
    config = digits_config.model_copy(update={"storage_path": str(tmp_path), "export": section})
    evaluation = run(config)
    assert evaluation["models"] == digits_run[1]["models"]
    step = RunDirectory.at(str(tmp_path), digits_config.name).facts("export/student/many_on_one")
    assert [found["format"] for found in step["exports"]] == ["saved_model", "onnx"]
