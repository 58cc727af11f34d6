"""A cluster whose nodes come and go: from none, and lost in the middle of the work."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from clusters import Cluster, assert_same_evaluation, run_small, running, small_command, wait_until

# Many shards, so that scoring takes long enough to be met in the middle.
SETTINGS = ["data.shard_rows=4", "scaling.lanes=1", "sweep.enabled=true", "sweep.trials=2", "sweep.searcher=random"]
SETTINGS += ["sweep.scheduler=none"]


def _started(
    cluster: Cluster, storage: Path, name: str, settings: Sequence[str], part: str = "run"
) -> "subprocess.Popen[str]":
    command = small_command(str(storage), settings, part)
    command += ["--name", name, "--address", f"127.0.0.1:{cluster.port}"]
    return subprocess.Popen(
        command, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _some(run: Path, pattern: str, job: "subprocess.Popen[str]") -> Callable[[], bool]:
    def holds() -> bool:
        assert job.poll() is None, job.communicate()[0]
        return next(run.glob(pattern), None) is not None

    return holds


@pytest.mark.slow
def test_nodes_lost_in_the_middle_change_nothing(tmp_path: Path) -> None:
    moments = {
        "teachers/a": "teachers/a/checkpoints/step-*.npz",
        "logits/b": "logits/b/train/part-*.parquet",
        "sweep": "sweep/trials/*/stage*/checkpoints/step-*.npz",
    }
    with running(tmp_path) as cluster:
        cluster.add_node()
        job = _started(cluster, tmp_path, "lost", SETTINGS)
        for step, sign in moments.items():
            wait_until(_some(tmp_path / "lost", sign, job), 400, sign, pause=0.005)
            cluster.kill_node()
            assert not (tmp_path / "lost" / step / "done.json").exists(), f"{step} was done before its node was lost"
            cluster.add_node()
        output, _ = job.communicate(timeout=500)
        assert job.returncode == 0, output
        assert output.count("its node was lost") >= 2  # Ray Tune goes on with its trials by itself.
    run_small(str(tmp_path), [*SETTINGS, "scaling.lanes=2"])  # Each with one thread, as the nodes have.
    assert_same_evaluation(tmp_path / "lost", tmp_path / "small")


@pytest.mark.slow
def test_workers_lost_with_their_node_are_no_failure(tmp_path: Path) -> None:
    settings = ["scaling.workers=1", "scaling.max_failures=0"]
    settings += ["teachers=[{name: a, model: {type: mlp, hidden: [64]}}]"]
    settings += ["teacher_defaults.training.epochs=200", "teacher_defaults.training.patience=200"]
    with running(tmp_path) as cluster:
        cluster.add_node()
        job = _started(cluster, tmp_path, "small", settings, "teachers")
        wait_until(_some(tmp_path / "small", "teachers/a/checkpoints/step-*.npz", job), 400, "checkpoint")
        cluster.kill_node()
        assert not (tmp_path / "small" / "teachers/a/done.json").exists()
        cluster.add_node()
        output, _ = job.communicate(timeout=500)
        assert job.returncode == 0, output
    assert "its node was lost; going on from the last checkpoint on other workers" in output
    history = json.loads((tmp_path / "small" / "teachers/a/history.json").read_text())
    assert [epoch["epoch"] for epoch in history] == list(range(200))
    assert not list((tmp_path / "small" / "ray_train").glob("*"))


@pytest.mark.slow
def test_an_autoscaling_cluster_grows_from_nothing_and_shrinks_again(tmp_path: Path) -> None:
    refused = {
        "adds machines as it needs them": (),
        "no node could at most have 2 CPU (the cluster could at most have 2 x 1 CPU)": (
            "scaling.shared_storage=true",
            "scaling.cpus_per_worker=2",
        ),
    }
    with running(tmp_path, autoscaled=True) as cluster:
        for line, settings in refused.items():
            job = _started(cluster, tmp_path, "refused", settings)
            output, _ = job.communicate(timeout=120)
            assert job.returncode == 2
            assert line in " ".join(output.split())
        assert cluster.live_nodes() == 0
        job = _started(cluster, tmp_path, "small", ["scaling.shared_storage=true"])
        most = 0
        while job.poll() is None:
            most = max(most, cluster.live_nodes())
        assert job.returncode == 0, job.communicate()[0]
        assert most == 2
        assert (tmp_path / "small" / "evaluation.json").exists()
        wait_until(lambda: cluster.live_nodes() == 0, 120, "return to no node")
