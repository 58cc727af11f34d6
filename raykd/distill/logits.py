"""Logits store: a teacher writes it once; every student, stage and trial reads it.

`logits/<teacher>/<split>/part-00000.parquet` stands beside each example shard with the same rows in the same
order: `example_id` and raw float16 logits, which serve any temperature; of more than 1,024 classes the largest
(`raykd.data.largest`).
"""

import hashlib
import time
from typing import Any

from raykd.artifacts import RunDirectory, logits_folder
from raykd.data import largest
from raykd.data.reader import Reader
from raykd.data.shards import SCORED_SPLITS, Manifest, Shard, read_manifest, unwritten, write_table
from raykd.distill.scored import count_scored
from raykd.errors import InputError
from raykd.models.build import ModelSpec
from raykd.train.checkpoint import WEIGHTS, load_weights
from raykd.train.job import Report
from raykd.train.predict import Predictor


def missing_shards(run: RunDirectory, teacher: str, manifest: Manifest) -> list[int]:
    """Positions in `manifest.of(*SCORED_SPLITS)` that have no logits yet."""
    return unwritten(run, logits_folder(teacher), manifest.of(*SCORED_SPLITS))


def score(
    teacher: str,
    weights: str,
    spec: ModelSpec,
    run: RunDirectory,
    report: Report,
    part: tuple[int, int] = (0, 1),
) -> dict[str, Any]:
    """Write the logits of every scored row, going on where an earlier attempt stopped.

    Args: weights: folder of the teacher's weights; part: (i, n), for the i-th of every n shards alone.
    Returns: rows scored now, and seconds.
    """
    manifest = read_manifest(run)
    check_store(run, teacher, weights, manifest)
    begun, rows = time.perf_counter(), 0
    reader = Reader(run, manifest.of(*SCORED_SPLITS), manifest.inputs)
    missing = [position for position in missing_shards(run, teacher, manifest) if position % part[1] == part[0]]
    predictor = Predictor(spec, load_weights(run, weights))
    for count, (position, arrays) in enumerate(reader.ahead(missing), start=1):
        logits = predictor.logits(arrays)[:, 0]
        count_scored(run, teacher, len(logits), part[0])
        write_logits(run, teacher, reader.shards[position], arrays["example_id"], logits)
        rows += len(logits)
        seconds = time.perf_counter() - begun
        folder = logits_folder(teacher)
        report({"folder": folder, "share": count / len(missing), "examples_per_second": rows / seconds})
    return {"rows": rows, "seconds": time.perf_counter() - begun}


def write_logits(run: RunDirectory, teacher: str, shard: Shard, ids: Any, logits: Any) -> None:
    """Publish a teacher's logits [rows, classes] of a shard."""
    columns = {"example_id": ids, **largest.columns_of(logits)}
    write_table(run, f"{logits_folder(teacher)}/{shard.name}", columns, repeats=False)


def check_store(run: RunDirectory, teacher: str, weights: str, manifest: Manifest) -> None:
    """Claim the store for these weights and examples.

    Raises: InputError when it holds logits of others, naming both.
    """
    path = f"{logits_folder(teacher)}/manifest.json"
    wanted = {
        "teacher_weights": hashlib.sha256(run.read_bytes(f"{weights}/{WEIGHTS}")).hexdigest(),
        "examples": manifest.fingerprint,
        "dtype": "float16",
        "classes": manifest.classes,
        "rows": manifest.rows(*SCORED_SPLITS),
        **({} if largest.is_dense(manifest.classes) else {"kept": largest.KEPT}),
    }
    found = run.read_json(path) if run.exists(path) else wanted
    for key, value in wanted.items():
        if found.get(key) != value:
            raise InputError(
                f"{run.path(path)}: {key}: found {found.get(key)}, expected {value}; "
                f"delete {logits_folder(teacher)}/ to have it scored again"
            )
    run.write_json(path, wanted)
