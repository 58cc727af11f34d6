"""Predicts the rows of a source with a run's models: Ray actors read, predict and write some thousand rows at a time.

The output is a folder of Parquet files that any tool reads as one table; `_raykd/` in it says what made it and holds
the quarantine. A file is written whole or not at all, and an interrupted prediction goes on with the missing ones.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from raykd.artifacts import RunDirectory, fingerprint
from raykd.capacity import Capacity
from raykd.config import DataConfig
from raykd.data.checks import Quarantine
from raykd.data.failures import one_line_errors
from raykd.data.shards import Manifest, write_table
from raykd.data.sources import Source, open_source, source_fingerprint
from raykd.data.sources.pieces import Piece
from raykd.errors import InputError
from raykd.predict.members import Members
from raykd.process import prepare
from raykd.train.checkpoint import WEIGHTS

_STEP = "_raykd"
_MOST_THREADS = 4  # of an actor
_FORMAT = 1  # Raise it when predictions of the same models and rows change.


Show = Callable[[int, int, int], None]
"""Told how many rows are predicted, of how many pieces, and how many pieces there are."""


@dataclass(frozen=True)
class Predicted:
    """What a prediction has done.

    Args: rows: predicted, now and before; bad: put in quarantine; folder: of the output; model: which predicted.
    """

    rows: int
    bad: int
    seconds: float
    folder: str
    model: str


def predict_source(
    run: RunDirectory,
    members: Members,
    manifest: Manifest,
    data: DataConfig,
    output: str,
    capacity: Capacity,
    show: Show,
) -> Predicted:
    """Write the class and the probabilities of every row of `data.source`, as far as they aren't there yet.

    Columns: `file`, `row` in it (or the id's own column, where `data.columns.id` names one), `prediction` (the class),
    `name` where classes have names, and `probabilities`, calibrated where the evaluation has found how.
    Args:
        output: a folder or URI; new, empty, or that of the same prediction, begun earlier. In the run directory another
            prediction is replaced.
        show: told of every piece that is done.
    Raises: InputError for bad input, more bad rows than `data.max_bad_fraction`, or a folder that holds other files.
    """
    begun = time.perf_counter()
    source = open_source(data, labelled=False)
    out = RunDirectory.opened(output)
    wanted = _fingerprint(run, members, manifest, data)
    _claim(out, wanted, replaces=out.path().startswith(f"{run.path()}/"))
    aside = RunDirectory.at(out.root, _STEP)
    if not out.is_done(_STEP, wanted):
        Quarantine(aside).clear()
        task = _Predicting(run, out, source, members, manifest)
        with one_line_errors():
            good = _perform(task, source, capacity, show)
        bad = Quarantine(aside).settle(good, data.max_bad_fraction, data.source)
        out.finish(_STEP, wanted, rows=good, bad=bad)
    facts = out.facts(_STEP)
    return Predicted(facts["rows"], facts["bad"], time.perf_counter() - begun, out.path(), members.name)


def _claim(out: RunDirectory, wanted: str, *, replaces: bool) -> None:
    settings = f"{_STEP}/settings.json"
    if out.exists(settings):
        if out.read_json(settings)["fingerprint"] != wanted:
            if not replaces:
                raise InputError(
                    f"--output {out.root}: found predictions of other rows, or by another model, expected a new or "
                    "empty folder; choose another, or delete that one"
                )
            out.delete_folder("")
    elif out.names("", ""):
        raise InputError(
            f"--output {out.root}: found files that are no predictions of raykd, expected a new or empty folder; "
            "choose another"
        )
    out.prepare()
    out.begin(_STEP, wanted)


def _fingerprint(run: RunDirectory, members: Members, manifest: Manifest, data: DataConfig) -> str:
    weights = [hashlib.sha256(run.read_bytes(f"{one.folder}/{WEIGHTS}")).hexdigest() for one in members.members]
    read = data.model_dump(include={"source", "format", "columns", "image", "truncation"})
    rows = source_fingerprint(data)
    combined = (members.weights, members.space, members.temperature)
    return fingerprint(_FORMAT, weights, *combined, manifest.fingerprint, read, rows)


def _perform(task: "_Predicting", source: Source, capacity: Capacity, show: Show) -> int:
    """Rows predicted, now or before."""
    items = [asdict(piece) for piece in source.pieces]
    threads = max(1, min(capacity.cpus, _MOST_THREADS))
    most = capacity.gpus or max(1, capacity.cpus // threads)  # An accelerator each, where there are any.
    actors = ray.data.ActorPoolStrategy(min_size=1, max_size=min(len(items), most))
    done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _Actor,
        fn_constructor_args=(task, threads),
        batch_size=1,
        batch_format="pyarrow",
        compute=actors,
        num_cpus=threads,
        num_gpus=1 if capacity.gpus else 0,
    )
    rows = 0
    for piece, row in enumerate(done.iter_rows(), start=1):
        rows += row["rows"]
        show(rows, piece, len(items))
    return rows


@dataclass(frozen=True)
class _Predicting:
    """What the actors do."""

    run: RunDirectory
    out: RunDirectory
    source: Source
    members: Members
    manifest: Manifest

    def missing(self, piece: Piece) -> Iterator[tuple[str, pa.Table, bool]]:
        """Rows of a piece, the file that they are for, and whether it is missing."""
        there = set(self.out.names("", ".parquet"))
        quarantine = Quarantine(RunDirectory.at(self.out.root, _STEP))
        for rows in self.source.rows(piece, quarantine):
            if len(rows):
                name = f"part-{piece.number:06d}-{rows['example_id'][0].as_py():020d}.parquet"
                yield name, rows, name not in there

    def write(self, name: str, piece: Piece, rows: pa.Table, probabilities_BC: Any) -> None:
        """Publish the predictions of some rows."""
        classes_B = probabilities_BC.argmax(axis=1).astype(np.int32)
        columns = {**self._places(piece, rows), "prediction": classes_B}
        if self.manifest.class_names:
            columns["name"] = pa.array(self.manifest.class_names).take(pa.array(classes_B))
        flat = pa.array(probabilities_BC.astype(np.float32).ravel())
        columns["probabilities"] = pa.FixedSizeListArray.from_arrays(flat, probabilities_BC.shape[1])
        write_table(self.out, name, columns)

    def _places(self, piece: Piece, rows: pa.Table) -> dict[str, Any]:
        ids = rows["example_id"].to_numpy()
        if self.source.kind == "images":
            return {"file": [piece.files[row] for row in ids - piece.first_id]}
        files = pa.array([piece.files[0]] * len(rows), pa.string())
        if (own := self.source.data.columns.id) is not None:
            return {"file": files, own: ids}
        return {"file": files, "row": ids - piece.first_id + piece.first_row}


class _Actor:
    """Holds the models; takes one piece at a time."""

    def __init__(self, task: _Predicting, threads: int) -> None:
        prepare(threads)
        from raykd.predict.scorer import Scorer

        self._task = task
        self._scorer = Scorer(task.run, task.members, task.manifest.inputs, task.source.data.truncation)

    def __call__(self, batch: pa.Table) -> pa.Table:
        [item] = batch.to_pylist()
        piece = Piece(**{**item, "files": tuple(item["files"]), "labels": tuple(item["labels"])})
        count = 0
        for name, rows, missing in self._task.missing(piece):
            if missing:
                self._task.write(name, piece, rows, self._scorer(rows))
            count += len(rows)
        return pa.table({"rows": [count]})
