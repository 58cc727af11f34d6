"""cluster.yaml and jobs/rayjob.yaml: accepted by Ray's or KubeRay's schema, closed, with pyproject.toml's versions."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

PROJECT = Path(__file__).parent.parent
CAPITALS = re.compile(r"SUBNET|SECURITY_GROUP|ACCOUNT|BUCKET")

# The fields of ray.io/v1 that KubeRay 1.5 documents, with their types; a dict of a name in angle brackets is a map.
RESOURCES = {"requests": {"<name>": str}, "limits": {"<name>": str}}
POD = {
    "spec": {
        "serviceAccountName": str,
        "restartPolicy": str,
        "tolerations": [{"key": str, "operator": str, "effect": str}],
        "containers": [
            {
                "name": str,
                "image": str,
                "ports": [{"containerPort": int, "name": str}],
                "resources": RESOURCES,
            }
        ],
    }
}
RAY_JOB = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "namespace": str},
    "spec": {
        "activeDeadlineSeconds": int,
        "backoffLimit": int,
        "entrypoint": str,
        "runtimeEnvYAML": str,
        "jobId": str,
        "submissionMode": str,
        "ttlSecondsAfterFinished": int,
        "shutdownAfterJobFinishes": bool,
        "suspend": bool,
        "clusterSelector": {"<name>": str},
        "rayClusterSpec": {
            "rayVersion": str,
            "authOptions": {"mode": str},
            "enableInTreeAutoscaling": bool,
            "autoscalerOptions": {
                "resources": RESOURCES,
                "image": str,
                "idleTimeoutSeconds": int,
                "upscalingMode": str,
                "version": str,
            },
            "headGroupSpec": {"serviceType": str, "rayStartParams": {"<name>": str}, "template": POD},
            "workerGroupSpecs": [
                {
                    "groupName": str,
                    "replicas": int,
                    "minReplicas": int,
                    "maxReplicas": int,
                    "idleTimeoutSeconds": int,
                    "rayStartParams": {"<name>": str},
                    "template": POD,
                }
            ],
        },
    },
}
ALLOWED = {
    "apiVersion": ["ray.io/v1"],
    "kind": ["RayJob"],
    "submissionMode": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"],
    "upscalingMode": ["Default", "Aggressive", "Conservative"],
    "version": ["v1", "v2"],
    "mode": ["disabled", "token"],
    "serviceType": ["ClusterIP", "NodePort", "LoadBalancer"],
    "restartPolicy": ["Never"],  # what the autoscaler of version 2 asks for
}


def faults(value: Any, schema: Any, where: str = "") -> list[str]:
    """Where a document has a field that the schema doesn't, or of another type or value."""
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{where}: not a list"]
        return [fault for i, entry in enumerate(value) for fault in faults(entry, schema[0], f"{where}[{i}]")]
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{where}: not a mapping"]
        known = {name: schema.get(name, schema.get("<name>")) for name in value}
        unknown = [f"{where}.{name}: unknown" for name, expected in known.items() if expected is None]
        parts = [(value[name], expected, f"{where}.{name}") for name, expected in known.items() if expected is not None]
        return unknown + [fault for part in parts for fault in faults(*part)]
    if type(value) is not schema:
        return [f"{where}: {value!r} is not a {schema.__name__}"]
    allowed = ALLOWED.get(where.rpartition(".")[2], [value])
    return [] if value in allowed else [f"{where}: {value!r} is none of {allowed}"]


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return project


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((PROJECT / "cluster.yaml").read_text())
    return config


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((PROJECT / "jobs/rayjob.yaml").read_text())
    return config


def test_the_cluster_launcher_accepts_the_cluster(cluster: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config({**cluster})
    validate_config(prepared)
    assert prepared["available_node_types"].keys() == cluster["available_node_types"].keys()
    wrong = {**prepared, "available_node_types": {**prepared["available_node_types"], "x": {"resource": {}}}}
    with pytest.raises(Exception, match="resource"):
        validate_config(wrong)


def test_the_head_does_no_work_and_workers_come_and_go(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert "--num-cpus=0" in " ".join(cluster["head_start_ray_commands"])
    workers = {name: entry for name, entry in types.items() if name != cluster["head_node_type"]}
    assert all(entry["min_workers"] == 0 < entry["max_workers"] for entry in workers.values())
    assert {bool(entry["resources"].get("GPU")) for entry in workers.values()} == {True, False}
    assert cluster["idle_timeout_minutes"] <= 10


def test_spot_comes_first_and_on_demand_takes_its_place(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    for kind in ("cpu", "gpu"):
        spot, on_demand = types[f"{kind}-spot"], types[f"{kind}-on-demand"]
        assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert "InstanceMarketOptions" not in on_demand["node_config"]
        assert spot["resources"] == on_demand["resources"]  # Only then does the priority decide.
        assert spot["priority"] > on_demand["priority"]


def test_nobody_gets_in_from_outside(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    nodes = [entry["node_config"] for entry in cluster["available_node_types"].values()]
    # Without a group of its own the launcher would make one that lets SSH in from everywhere.
    assert all(node["SecurityGroupIds"] and node["SubnetIds"] and node["IamInstanceProfile"] for node in nodes)
    assert cluster["provider"]["use_internal_ips"]
    starts = [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in " ".join(starts)
    assert cluster["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    spec = job["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"


def test_kuberay_knows_every_field_of_the_job(job: dict[str, Any]) -> None:
    assert faults(job, RAY_JOB) == []
    wrong = {"kind": "RayJob", "spec": {"entryPoint": "x", "ttlSecondsAfterFinished": "5", "submissionMode": "http"}}
    assert faults(wrong, RAY_JOB) == [
        ".spec.entryPoint: unknown",
        ".spec.ttlSecondsAfterFinished: '5' is not a int",
        ".spec.submissionMode: 'http' is none of ['K8sJobMode', 'HTTPMode', 'InteractiveMode', 'SidecarMode']",
    ]


def test_the_job_scales_from_nothing_and_ends_its_cluster(job: dict[str, Any]) -> None:
    spec = job["spec"]
    assert spec["shutdownAfterJobFinishes"]
    assert spec["rayClusterSpec"]["enableInTreeAutoscaling"]
    assert spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in spec["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["replicas"] == group["minReplicas"] == 0 < group["maxReplicas"]
        [container] = group["template"]["spec"]["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
    script = spec["entrypoint"].split()[1]
    assert (PROJECT / script).exists()


def test_versions_are_those_of_the_project(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    project = _project()
    bounds = {Requirement(text).name: Requirement(text) for text in project["dependencies"]}
    images = re.findall(r"rayproject/ray:([\d.]+)-py(\d)(\d+)-", yaml.safe_dump([cluster, job]))
    assert len(images) >= 6
    for version, major, minor in [*images, (job["spec"]["rayClusterSpec"]["rayVersion"], "3", "11")]:
        assert bounds["ray"].specifier.contains(version)
        assert f"{major}.{minor}" in project["requires-python"]
    installed = [text for text in shlex.split(cluster["setup_commands"][0]) if text not in ("pip", "install")]
    in_job = yaml.safe_load(job["spec"]["runtimeEnvYAML"])["pip"]
    assert installed == project["dependencies"]
    assert [text.replace("[and-cuda]", "") for text in in_job] == project["dependencies"]
    [gpu] = [Requirement(text) for text in project["optional-dependencies"]["gpu"]]
    assert any(Requirement(text) == gpu for text in in_job)
    for name in ("gpu-spot", "gpu-on-demand"):
        first, second = cluster["available_node_types"][name]["worker_setup_commands"]
        assert first == cluster["setup_commands"][0]
        assert Requirement(shlex.split(second)[2]) == gpu


def test_what_a_user_has_to_replace_is_named(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    text = (PROJECT / "cluster.yaml").read_text()
    [line] = [line for line in text.splitlines() if "Look for:" in line]
    assert set(CAPITALS.findall(yaml.safe_dump(cluster))) | {"BUCKET"} == set(CAPITALS.findall(line))
    assert set(CAPITALS.findall(yaml.safe_dump(job))) == {"BUCKET"}
