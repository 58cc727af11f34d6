"""What an autoscaler's configuration and command line tell."""

from pathlib import Path

import psutil
import pytest
import yaml

from raykd import autoscaler
from raykd.autoscaler import autoscaler_config, growing_kinds
from raykd.capacity import Kind

CLUSTER = Path(__file__).parent.parent / "cluster.yaml"


def test_the_projects_cluster_could_grow_to_its_node_types() -> None:
    kinds = growing_kinds(yaml.safe_load(CLUSTER.read_text()))
    assert kinds == (Kind(0, 0, 1), Kind(16, 0, 16), Kind(16, 0, 4), Kind(8, 1, 16), Kind(8, 1, 4))


def test_types_without_a_limit_have_the_clusters() -> None:
    config = {
        "max_workers": 3,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 4}},
            "any": {"resources": {"CPU": 2}},
            "many": {"resources": {"CPU": 8}, "max_workers": 9},
            "none": {"resources": {"CPU": 64}, "max_workers": 0},
        },
    }
    assert growing_kinds(config) == (Kind(4, 0, 1), Kind(2, 0, 3), Kind(8, 0, 3))


def test_of_ones_own_machines_nothing_is_known() -> None:
    own = {"resources": {}, "min_workers": 2, "max_workers": 2}
    config = {"max_workers": 2, "head_node_type": "local.cluster.node", "available_node_types": {}}
    assert growing_kinds({**config, "available_node_types": {"local.cluster.node": own}}) is None
    own["resources"] = {"CPU": 8}
    assert growing_kinds({**config, "available_node_types": {"local.cluster.node": own}}) == (Kind(8, 0, 3),)


class _Process:
    def __init__(self, *command: str) -> None:
        self._command = list(command)

    def cmdline(self) -> list[str]:
        if not self._command:
            raise psutil.AccessDenied
        return self._command


def test_the_configuration_is_that_of_this_clusters_autoscaler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.yaml").write_text("cluster_name: own")
    (tmp_path / "other.yaml").write_text("cluster_name: other")
    processes = [
        _Process(),
        _Process("python", "monitor.py", "--gcs-address=10.0.0.1:6380", f"--autoscaling-config={tmp_path}/other.yaml"),
        _Process("python", "/ray/monitor.py", "--gcs-address=10.0.0.1:6381"),
        _Process("vim", "--gcs-address=10.0.0.1:6379", f"--autoscaling-config={tmp_path}/other.yaml"),
        _Process("python", "/ray/monitor.py", "--gcs-address=h:6379", f"--autoscaling-config={tmp_path}/own.yaml"),
    ]
    monkeypatch.setattr(autoscaler.psutil, "process_iter", lambda: processes)
    assert autoscaler_config("10.0.0.1:6379") == {"cluster_name": "own"}
    assert autoscaler_config("10.0.0.1:6381") is None
