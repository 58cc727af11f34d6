"""Nodes of the cluster that are lost while a training runs."""

import time
from collections.abc import Set

import ray

_NOTICE_SECONDS = 30.0  # in which Ray finds out that a node is gone; what it did on it may fail before
_EXPECTED = (1, 4)  # EXPECTED_TERMINATION and AUTOSCALER_DRAIN_IDLE, reasons for a node's death in Ray's common.proto


def lost_nodes() -> Set[str]:
    """Ids of the nodes that the connected cluster has lost so far; those that it gave back aren't lost."""
    return {node["NodeID"] for node in ray.nodes() if not node["Alive"] and node["DeathReason"] not in _EXPECTED}


def lost_since(before: Set[str]) -> bool:
    """Whether the cluster has lost a node since `lost_nodes` gave `before`; waits until Ray would have noticed."""
    deadline = time.monotonic() + _NOTICE_SECONDS
    while lost_nodes() <= before:
        # A machine alone has no other node to lose.
        if len(ray.nodes()) == 1 or time.monotonic() > deadline:
            return False
        time.sleep(1.0)
    return True
