"""`raykd bench scoring`: a teacher's logits of every row, by raykd and by Keras's `model.predict`.

The teacher is the first of a configuration, with the weights that it is drawn with. It scores the configuration's own
rows, as long as they are, and as many rows that all are as long as can be. raykd reads them from shards, in batches of
like length, and writes the logits store; `model.predict` gets them as one array in memory, padded to the longest row,
and its logits stay there. All in turns and in one process.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from raykd.artifacts import RunDirectory, logits_folder, teacher_folder
from raykd.bench.examples import write_examples
from raykd.config import Config
from raykd.data.ingest import ingest
from raykd.data.presets import tokenizer_preset
from raykd.data.reader import Reader
from raykd.data.shards import SCORED_SPLITS, Manifest
from raykd.distill.logits import score
from raykd.distill.stages import model_spec
from raykd.errors import InputError
from raykd.models.build import build
from raykd.train.checkpoint import save_weights, values_of
from raykd.train.predict import BATCH

Rates = dict[str, list[float]]
"""Rows per second of every turn, by case."""

_MIXED, _EQUAL = "mixed lengths", "equal lengths"
_OURS, _KERAS = "raykd", "model.predict"


def measure(config: Config, repeats: int, tasks: int, show: Callable[[str, float], None]) -> Rates:
    """Score in every case, alternating; the first turn, in which graphs are traced or compiled, doesn't count.

    Args: config: of texts; tasks: of ingestion at a time; show: gets each turn's rate as soon as it is known.
    Raises: InputError for bad input, or where there is no text or no teacher to train.
    """
    with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
        cases = dict(_cases(config, RunDirectory(f"{folder}/mixed"), RunDirectory(f"{folder}/equal"), tasks))
        rates: Rates = {case: [] for case in cases}
        for turn in range(repeats + 1):
            for case, scored in cases.items():
                begun = time.perf_counter()
                rate = scored() / (time.perf_counter() - begun)
                if turn:
                    rates[case].append(rate)
                    show(f"{case}, repeat {turn} of {repeats}", rate)
    return rates


def summary(rates: Mapping[str, list[float]]) -> dict[str, float]:
    """Medians, and how many times as fast raykd is."""
    medians = {case: statistics.median(values) for case, values in rates.items()}
    over = {
        f"{lengths}: {_OURS} over {_KERAS}": medians[f"{lengths}, {_OURS}"] / medians[f"{lengths}, {_KERAS}"]
        for lengths in (_MIXED, _EQUAL)
    }
    return medians | over


def _cases(
    config: Config, mixed: RunDirectory, equal: RunDirectory, tasks: int
) -> Iterator[tuple[str, Callable[[], int]]]:
    """Cases by name; each scores its rows and says how many they are."""
    data = config.data.model_copy(update={"tokenizer": tokenizer_preset(config)})
    manifest = ingest(mixed, data, config.seed, tasks)
    if manifest.inputs.kind != "tokens" or not config.teachers:
        raise InputError("bench scoring: found no texts or no teacher to train, expected both; name another job")
    rows = manifest.rows(*SCORED_SPLITS)
    full = write_examples(equal, {"train": rows}, manifest.inputs.length, len(manifest.of(*SCORED_SPLITS)))
    for lengths, run, one in ((_MIXED, mixed, manifest), (_EQUAL, equal, full)):
        yield f"{lengths}, {_OURS}", partial(_ours, config, run, one)
        yield f"{lengths}, {_KERAS}", _by_keras(config, run, one)


def _ours(config: Config, run: RunDirectory, manifest: Manifest) -> int:
    [teacher, *_] = config.teachers
    spec, weights = model_spec(teacher.model, manifest), teacher_folder(teacher.name)
    if not run.exists(weights):
        save_weights(run, weights, values_of(build(spec, config.seed).variables))
    run.delete_folder(logits_folder(teacher.name))
    found = score(teacher.name, weights, spec, run, lambda _: None)
    rows: int = found["rows"]
    return rows


def _by_keras(config: Config, run: RunDirectory, manifest: Manifest) -> Callable[[], int]:
    model = build(model_spec(config.teachers[0].model, manifest), config.seed)
    reader = Reader(run, manifest.of(*SCORED_SPLITS), manifest.inputs)
    shards = [np.asarray(shard["inputs"]) for shard in reader.all()]
    longest = max(inputs.shape[1] for inputs in shards)
    padded = np.concatenate([np.pad(inputs, ((0, 0), (0, longest - inputs.shape[1]))) for inputs in shards])

    def scored() -> int:
        return len(model.predict(padded, batch_size=BATCH, verbose=0))

    return scored
