"""What Ray's autoscaler could add, and what it says that it never will. Reader: the cluster, while it has one.

Ray tells a job nothing of the node types that its autoscaler may start; the configuration stands on the head, where
jobs run, and its path in the autoscaler's command line. On Kubernetes the types are the operator's, out of sight.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml

from raykd.capacity import Kind


def autoscaler_config(gcs_address: str) -> dict[str, Any] | None:
    """The configuration of this cluster's autoscaler; None where there is none, or it runs on another machine."""
    port = gcs_address.rpartition(":")[2]  # The head may call itself by another name.
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # It ended, or is another user's.
            options = _options(process.cmdline())
            if options.get("gcs-address", "").endswith(f":{port}") and "autoscaling-config" in options:
                path = Path(options["autoscaling-config"]).expanduser()
                config: dict[str, Any] = yaml.safe_load(path.read_text())
                return config
    return None


def _options(command: list[str]) -> dict[str, str]:
    """The options of an autoscaler's command line; none of any other process."""
    if not any(part.endswith("monitor.py") for part in command):
        return {}
    pairs = (part.removeprefix("--").partition("=") for part in command if part.startswith("--"))
    return {name: value for name, _, value in pairs}


def growing_kinds(config: Mapping[str, Any]) -> tuple[Kind, ...] | None:
    """The nodes that a cluster with this configuration could have at most, its head among them.

    None where it doesn't tell what they have, as that of a cluster on one's own machines.
    """
    most = config.get("max_workers", 2)
    kinds = []
    for name, entry in config["available_node_types"].items():
        head = name == config["head_node_type"]
        count = min(entry.get("max_workers", 0 if head else most), most) + head
        resources = entry.get("resources")
        if count and not resources:
            return None
        kinds.append(Kind(float(resources.get("CPU", 0)), float(resources.get("GPU", 0)), count))
    return tuple(kind for kind in kinds if kind.count)


def is_autoscaler_v2() -> bool:
    """Whether the connected cluster has an autoscaler of the second version."""
    from ray.autoscaler.v2.utils import is_autoscaler_v2 as asked

    found: bool = asked(fetch_from_server=True)
    return found


def never_given(gcs_address: str) -> list[dict[str, float]]:
    """Requests for resources, of all jobs, that the autoscaler has said no node type of its own could meet."""
    from ray.autoscaler.v2.sdk import GcsClient
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    reply = GetClusterStatusReply.FromString(GcsClient(gcs_address).get_cluster_status(timeout_s=10))
    state = reply.autoscaling_state
    gangs = [one for gang in state.infeasible_gang_resource_requests for one in gang.requests]
    return [dict(one.resources_bundle) for one in [*state.infeasible_resource_requests, *gangs]]
