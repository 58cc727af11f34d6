"""What every trained model predicts of held-out rows: a step for each model, so that all lanes take part.

`predictions/<folder of the model>/<split>/part-00000.parquet` stands beside each example shard with the same rows in
the same order: `example_id` and float32 `probabilities`, before any temperature that was fitted. Readers: the
evaluation, and whoever wants to see where a model errs.

Axes: B rows, C classes.
"""

import time
from typing import Any

import numpy as np
import pyarrow as pa

from raykd.artifacts import RunDirectory, predictions_folder
from raykd.data.reader import Reader
from raykd.data.shards import Manifest, read_aligned, read_manifest, unwritten, write_table
from raykd.evaluate.quality import Floats
from raykd.models.build import ModelSpec
from raykd.train.checkpoint import load_weights
from raykd.train.job import Report
from raykd.train.predict import Predictor, probabilities_of

_COLUMN = "probabilities"


def predicted_splits(folder: str) -> tuple[str, ...]:
    """The splits that a model predicts: students validation too, on which temperatures and weights are fitted."""
    return ("test",) if folder.startswith("teachers/") else ("validation", "test")


def predict(
    folder: str, spec: ModelSpec, run: RunDirectory, report: Report, part: tuple[int, int] = (0, 1)
) -> dict[str, Any]:
    """Write what the model in a folder predicts, going on where an earlier attempt stopped.

    Args: part: (i, n), for the i-th of every n shards alone.
    Returns: rows predicted now, and seconds.
    """
    begun, rows = time.perf_counter(), 0
    manifest, target = read_manifest(run), predictions_folder(folder)
    reader = Reader(run, manifest.of(*predicted_splits(folder)), manifest.inputs)
    missing = [position for position in unwritten(run, target, reader.shards) if position % part[1] == part[0]]
    predictor = Predictor(spec, load_weights(run, folder))
    for count, (position, arrays) in enumerate(reader.ahead(missing), start=1):
        probabilities_BC = probabilities_of(predictor.logits(arrays)).astype(np.float32)
        flat = pa.array(probabilities_BC.ravel())
        columns = {
            "example_id": arrays["example_id"],
            _COLUMN: pa.FixedSizeListArray.from_arrays(flat, manifest.classes),
        }
        write_table(run, f"{target}/{reader.shards[position].name}", columns, repeats=False)
        rows += len(probabilities_BC)
        speed = rows / (time.perf_counter() - begun)
        report({"folder": target, "share": count / len(missing), "examples_per_second": speed})
    return {"rows": rows, "seconds": time.perf_counter() - begun}


def predictions(folder: str, split: str, run: RunDirectory, manifest: Manifest) -> Floats:
    """Probabilities [B, C] of a split's rows in order, as `predict` wrote them.

    Raises: InputError for a file that is missing, damaged or of other rows.
    """
    tables = [read_aligned(run, predictions_folder(folder), shard) for shard in manifest.of(split)]
    flat = [table[_COLUMN].combine_chunks().flatten().to_numpy() for table in tables]
    return np.concatenate(flat).reshape(-1, manifest.classes).astype(np.float64)
