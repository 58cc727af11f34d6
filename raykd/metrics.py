"""Progress as Ray metrics, for Prometheus and Grafana beside Ray's own. Reader: the pipeline, which passes events on.

Set in the driver, so that they come from one process and end with the job.
"""

from collections.abc import Mapping
from typing import Any

GAUGES = {
    "raykd_steps": "steps of the whole job",
    "raykd_steps_done": "steps that are done",
    "raykd_step_share": "share of a step that is done",
    "raykd_loss": "training loss of a step, over the epoch so far",
    "raykd_examples_per_second": "rows that a step trains on or scores in a second",
    "raykd_stall_fraction": "share of its time that a training waits for data",
}
RESTARTS = "raykd_restarts"
_OF_JOB = ("raykd_steps", "raykd_steps_done")
_BY_KEY = {
    "share": "raykd_step_share",
    "loss": "raykd_loss",
    "examples_per_second": "raykd_examples_per_second",
    "stall_fraction": "raykd_stall_fraction",
}


def readings(event: Mapping[str, Any]) -> dict[str, float]:
    """The gauges of a step that an event sets; a step that has ended computes nothing any more."""
    if event["kind"] == "finished":
        return {"raykd_step_share": 1.0, "raykd_examples_per_second": 0.0, "raykd_stall_fraction": 0.0}
    return {gauge: float(event[key]) for key, gauge in _BY_KEY.items() if event.get(key) is not None}


class Metrics:
    """Gauges of one run, and a counter of lanes that were lost; needs Ray.

    Args: steps: of the whole job; done: of them already.
    """

    def __init__(self, run: str, steps: int, done: int) -> None:
        from ray.util.metrics import Counter, Gauge

        self._run = {"run": run}
        self._done = done
        self._gauges = {
            name: Gauge(name, text, ("run",) if name in _OF_JOB else ("run", "step")) for name, text in GAUGES.items()
        }
        self._restarts = Counter(RESTARTS, "lanes that died or were lost with their node", ("run",))
        self._gauges["raykd_steps"].set(steps, self._run)
        self._gauges["raykd_steps_done"].set(done, self._run)

    def show(self, event: Mapping[str, Any]) -> None:
        """Take in one event of a step."""
        for name, value in readings(event).items():
            self._gauges[name].set(value, {**self._run, "step": event.get("folder", event["step"])})
        if event["kind"] == "finished":
            self._done += 1
            self._gauges["raykd_steps_done"].set(self._done, self._run)
        elif event["kind"] == "restarted":
            self._restarts.inc(1.0, self._run)
