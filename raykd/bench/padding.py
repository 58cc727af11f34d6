"""`raykd bench padding`: training on batches padded to their own longest text, beside padding all to the full length.

Both train the first teacher of a configuration on the same batches in the same order, in turns and in one process, so
that what else the machine does slows both alike.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.data.ingest import ingest
from raykd.data.order import WINDOW_BATCHES
from raykd.data.presets import tokenizer_preset
from raykd.data.shards import Manifest
from raykd.distill.stages import teacher_job
from raykd.errors import InputError
from raykd.models.build import drawn
from raykd.train.checkpoint import values_of
from raykd.train.loop import take_here
from raykd.train.program import program_for
from raykd.train.strategy import Place, strategy_named

Rates = dict[str, list[float]]
"""Examples per second of every turn, by case."""


def measure(config: Config, repeats: int, tasks: int, show: Callable[[str, float], None]) -> Rates:
    """Train in both cases, alternating; a turn takes 16 steps, within which rows are grouped by length.

    Args: config: of texts; tasks: of ingestion at a time; show: gets each turn's rate as soon as it is known.
    Raises: InputError for bad input, or where there is no text to pad.
    """
    with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
        run = RunDirectory(folder)
        data = config.data.model_copy(update={"tokenizer": tokenizer_preset(config)})
        manifest = ingest(run, data, config.seed, tasks)
        if manifest.inputs.kind != "tokens" or not config.teachers:
            raise InputError("bench padding: found no texts or no teacher to train, expected both; name another job")
        whole = replace(manifest, inputs=replace(manifest.inputs, bucket=manifest.inputs.length))
        cases = {"bucketed": manifest, "padded": whole}
        # The first turn of each traces or compiles.
        steps = (repeats + 1) * WINDOW_BATCHES
        takes = {case: _turns(config, run, chosen, steps) for case, chosen in cases.items()}
        rates: Rates = {case: [] for case in cases}
        for turn in range(repeats + 1):
            for case, take in takes.items():
                rate = take()
                if turn:
                    rates[case].append(rate)
                    show(f"{case}, repeat {turn} of {repeats}", rate)
    return rates


def _turns(config: Config, run: RunDirectory, manifest: Manifest, steps: int) -> Callable[[], float]:
    """Takes a turn's steps of a training that has `steps` in all, and gives its examples per second."""
    job = teacher_job(config, config.teachers[0].name, manifest)
    place = Place(strategy_named("one_device"))
    program = program_for(job, place)
    program.start(job, steps, values_of(drawn(job.model, job.seed).variables))
    take_steps = take_here(job, run, manifest, place, program, 0, steps)

    def take() -> float:
        begun = time.perf_counter()
        rows = float(take_steps(WINDOW_BATCHES).rows)
        return rows / (time.perf_counter() - begun)

    return take


def summary(rates: Mapping[str, list[float]]) -> dict[str, float]:
    """Medians, and how much faster bucketing is."""
    medians = {case: statistics.median(values) for case, values in rates.items()}
    return {**medians, "bucketed over padded": medians["bucketed"] / medians["padded"]}
