"""TensorFlow's workers get to know each other: what Ray Train's own backend does, without loading TensorFlow.

Importing Ray's loads it, also in the controller of each training, which has no use for it: seconds, and 700 MB.
"""

import json
import os
import socket
from dataclasses import dataclass
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig


@dataclass
class Workers(BackendConfig):
    """In place of a TensorflowConfig."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What sets the workers up."""
        return _Addresses


class _Addresses(Backend):
    """Tells every worker where all of them listen: TF_CONFIG, as MultiWorkerMirroredStrategy reads it."""

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Called by the controller once the workers are up."""
        addresses = worker_group.execute(_own_address)
        ray.get([
            worker_group.execute_single_async(index, _tell, addresses, index) for index in range(len(worker_group))
        ])  # fmt: skip


def _own_address() -> str:
    """This node's, with a port that is free."""
    host = ray.util.get_node_ip_address()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tell(addresses: list[str], index: int) -> None:
    task = {"type": "worker", "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
