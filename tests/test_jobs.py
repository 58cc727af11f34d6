"""The scripts for `ray job submit`, on a real head with token authentication, from a folder with nothing else."""

import json
import os
import re
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import PROJECT, Cluster, assert_same_evaluation, clean_copy, running, wait_until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("head"), cpus=2) as one:
        yield one


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_copy(tmp_path_factory.mktemp("project"))


@pytest.mark.slow
def test_a_job_brings_its_code_and_its_dependencies(cluster: Cluster, clean: Path, tmp_path: Path) -> None:
    dependencies = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    options = ("--runtime-env-json", json.dumps({"pip": dependencies}))
    script = ["jobs/tmkd.py", "mine.yaml", "--storage-path", str(tmp_path), "--name", "job"]
    job = cluster.submit(*script, folder=clean, options=options)
    exported: set[str] = set()
    while job.poll() is None:
        exported |= set(re.findall(r'(raykd_\w+)\{[^}]*run="job"', cluster.metrics()))
        time.sleep(1.0)
    output, _ = job.communicate()
    assert job.returncode == 0, output
    assert exported >= {"raykd_steps", "raykd_steps_done", "raykd_step_share", "raykd_examples_per_second"}
    logs = cluster.ray("job", "logs", re.findall(r"raysubmit_\w+", output)[0])
    for stage in ("teachers/a", "logits/b", "students/many_on_one", "evaluation"):
        assert re.search(rf"\n[\d-]+ [\d:]+ job lane \d {stage} \d+/12: \d+ s", logs), logs
    accuracy = {model["name"]: model["accuracy"] for model in _evaluation(tmp_path / "job")["models"]}
    assert accuracy["teacher_ensemble"] > 0.5
    assert accuracy["student/many_on_one"] > 0.3
    assert (tmp_path / "job" / "report.html").exists()


@pytest.mark.slow
def test_jobs_side_by_side_and_one_whose_driver_is_killed(cluster: Cluster, clean: Path, tmp_path: Path) -> None:
    def submit(name: str) -> "subprocess.Popen[str]":
        script = ["jobs/tmkd.py", "mine.yaml", "--storage-path", str(tmp_path), "--name", name]
        return cluster.submit(*script, "--set", "scaling.lanes=1", folder=clean)

    first, second = submit("first"), submit("second")
    lease = tmp_path / "first" / "lease.json"
    wait_until(lease.exists, 300, "lease of the first job")
    holder = json.loads(lease.read_text())
    lines, _ = submit("first").communicate(timeout=300)
    # The end of a failed job's log comes twice.
    [line] = {line for line in lines.splitlines() if line.startswith("error: ")}
    assert f"{tmp_path}/first: another run writes here (process {holder['pid']} on {holder['host']}, since" in line
    wait_until(lambda: bool(list((tmp_path / "second").rglob("step-*.npz"))), 300, "checkpoint of the second job")

    killed = json.loads((tmp_path / "second" / "lease.json").read_text())["pid"]
    os.kill(killed, signal.SIGKILL)
    second.communicate(timeout=300)
    assert second.returncode != 0
    assert not (tmp_path / "second" / "evaluation.json").exists()
    done = list((tmp_path / "second").rglob("done.json"))
    before = {path: path.stat().st_mtime_ns for path in done}
    again = submit("second")
    for job in (first, again):
        output, _ = job.communicate(timeout=500)
        assert job.returncode == 0, output
    assert {path: path.stat().st_mtime_ns for path in done} == before
    assert_same_evaluation(tmp_path / "second", tmp_path / "first")


@pytest.mark.slow
def test_steps_one_by_one_are_the_whole_job(cluster: Cluster, clean: Path, tmp_path: Path) -> None:
    ends = {
        "teachers": "teachers/b",
        "score": "logits/b",
        "sweep": "sweep",
        "distill": "students/many_on_one",
        "evaluate": "evaluation",
    }
    sweep = ["--set", "sweep.enabled=true", "--set", "sweep.trials=2", "--set", "sweep.searcher=random"]
    for name, last in ends.items():
        job = cluster.submit(f"jobs/{name}.py", "mine.yaml", "--storage-path", str(tmp_path), *sweep, folder=clean)
        output, _ = job.communicate(timeout=500)
        assert job.returncode == 0, output
        assert (tmp_path / "small" / last / "done.json").exists()
        later = list(ends.values())[list(ends).index(name) + 1 :]
        assert not any((tmp_path / "small" / step / "done.json").exists() for step in later)
    assert _evaluation(tmp_path / "small")["models"]


def _evaluation(run: Path) -> dict[str, list[dict[str, float]]]:
    evaluation: dict[str, list[dict[str, float]]] = json.loads((run / "evaluation.json").read_text())
    return evaluation
