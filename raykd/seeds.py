"""The same job with several seeds, and what differs between them."""

import statistics
from collections.abc import Sequence
from typing import Any

from raykd.config import Config
from raykd.pipeline import run

FIGURES = ("accuracy", "nll", "retention", "retention_ensemble", "speedup_ensemble")


def run_seeds(
    config: Config, seeds: Sequence[int], *, address: str | None = None, verbose: bool = False
) -> dict[str, dict[str, tuple[float, float] | None]]:
    """Run the job once per seed, in `<name>-seed<seed>`, and compare. Returns: as `compare_seeds`."""
    evaluations = []
    for seed in seeds:
        evaluations.append(run(seeded(config, seed), address=address, verbose=verbose))
    return compare_seeds(evaluations)


def seeded(config: Config, seed: int) -> Config:
    """The job with another seed, and a name that tells it."""
    return config.model_copy(update={"seed": seed, "name": f"{config.name}-seed{seed}"})


def compare_seeds(evaluations: Sequence[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float] | None]]:
    """Mean and sample standard deviation of each figure of each model that every evaluation has.

    With one evaluation the deviation is 0; None for a figure that an evaluation does not know.
    """
    tables = [{model["name"]: model for model in evaluation["models"]} for evaluation in evaluations]
    common = [name for name in tables[0] if all(name in table for table in tables)]
    return {
        name: {figure: _mean_and_deviation([table[name][figure] for table in tables]) for figure in FIGURES}
        for name in common
    }


def _mean_and_deviation(values: Sequence[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else 0.0
