"""Which figures an event sets, and that Ray takes them."""

from typing import Any

import pytest
import ray.util.metrics

from raykd.metrics import GAUGES, RESTARTS, Metrics, readings


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"kind": "started"}, {}),
        ({"kind": "progress", "share": 0.5, "loss": 2, "examples_per_second": 10.0, "stall_fraction": None},
         {"raykd_step_share": 0.5, "raykd_loss": 2.0, "raykd_examples_per_second": 10.0}),
        ({"kind": "finished", "examples_per_second": 10.0},
         {"raykd_step_share": 1.0, "raykd_examples_per_second": 0.0, "raykd_stall_fraction": 0.0}),
    ],
)  # fmt: skip
def test_readings(event: dict[str, Any], expected: dict[str, float]) -> None:
    assert readings(event) == expected
    assert expected.keys() <= GAUGES.keys()


def test_events_set_gauges_by_run_and_step(local_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[tuple[str, str, str], float] = {}

    def note(metric: Any, value: float, tags: dict[str, str]) -> None:
        key = (metric.info["name"], tags["run"], tags.get("step", ""))
        seen[key] = value + (seen.get(key, 0.0) if metric.info["name"] == RESTARTS else 0.0)
        original[type(metric)](metric, value, tags)

    gauge, counter = ray.util.metrics.Gauge, ray.util.metrics.Counter
    original = {gauge: gauge.set, counter: counter.inc}
    monkeypatch.setattr(ray.util.metrics.Gauge, "set", note)
    monkeypatch.setattr(ray.util.metrics.Counter, "inc", note)
    metrics = Metrics("digits", steps=8, done=1)
    metrics.show({"kind": "started", "step": "teachers/a"})
    metrics.show({"kind": "progress", "step": "students/plain", "folder": "students/plain/labelled", "share": 0.25})
    metrics.show({"kind": "restarted", "step": "teachers/a", "lost": True})
    metrics.show({"kind": "restarted", "step": "teachers/a", "lost": False})
    metrics.show({"kind": "finished", "step": "teachers/a"})
    assert seen[("raykd_steps", "digits", "")] == 8
    assert seen[("raykd_steps_done", "digits", "")] == 2
    assert seen[("raykd_step_share", "digits", "students/plain/labelled")] == 0.25
    assert seen[("raykd_step_share", "digits", "teachers/a")] == 1.0
    assert seen[(RESTARTS, "digits", "")] == 2
