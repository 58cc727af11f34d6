"""A run's evaluation and configuration, as pages are made of."""

from typing import Any

from raykd.config import Config
from raykd.loading import parse_config


def model(name: str, kind: str, recipe: str | None, accuracy: float, speed: float | None) -> dict[str, Any]:
    """Against a best teacher of 0.8 at 100 examples/s and a teacher ensemble of 0.9 at 40."""
    return {
        "name": name,
        "kind": kind,
        "recipe": recipe,
        "accuracy": accuracy,
        "accuracy_ci95": [accuracy - 0.02, accuracy + 0.02],
        "auc": 0.95,
        "f1_macro": 0.75,
        "nll": 0.5,
        "brier": 0.25,
        "ece": 0.03,
        "agreement": 0.97,
        "parameters": 1234567,
        "bytes": 4938268,
        "latency_ms_p50": 1.5,
        "latency_ms_p95": 2.5,
        "examples_per_second": speed,
        "retention": accuracy / 0.8,
        "retention_ensemble": accuracy / 0.9,
        "speedup": None if speed is None else speed / 100,
        "speedup_ensemble": None if speed is None else speed / 40,
    }


TEACHER = model("teacher/a", "teacher", None, 0.8, 100.0)
OTHER = model("teacher/b", "teacher", None, 0.82, 66.0)
TOGETHER = model("teacher_ensemble", "teacher_ensemble", None, 0.9, 40.0)
PLAIN = model("student/plain", "student", "plain", 0.7, 1000.0)
AVERAGED = model("student/one_avg_on_one", "student", "one_avg_on_one", 0.79, 1010.0)
TMKD = model("student/many_on_one", "student", "many_on_one", 0.78, 980.0)


def evaluation(*models: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "metric": "accuracy",
        "seed": 7,
        "device": "a test machine",
        "best_teacher": "teacher/a",
        "wall_seconds": 83.4,
        "training_share": 0.455,
        "stages": [
            {"name": "examples", "seconds": 5.0, "stall_fraction": None, "examples_per_second": None},
            {"name": "teachers/a", "seconds": 20.0, "stall_fraction": 0.125, "examples_per_second": 4321.0},
        ],
        "models": list(models),
    }


def config(name: str = "tiny") -> Config:
    return parse_config(
        {
            "name": name,
            "teachers": [{"name": letter, "model": {"type": "mlp", "hidden": [8]}} for letter in "ab"],
            "student": {"model": {"type": "mlp", "hidden": [4]}},
            "distill": {"recipes": ["plain", "many_on_one"]},
        }
    )
