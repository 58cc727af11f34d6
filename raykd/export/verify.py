"""Compares an export, loaded back, with its source on validation rows, and times it.

Axes: B rows, C classes.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tokenizers import Tokenizer

from raykd.artifacts import RunDirectory
from raykd.config import ExportFormat
from raykd.data.encoding import PAD_ID, SEP_ID, InputSpec
from raykd.data.reader import Reader
from raykd.data.shards import Arrays, Manifest
from raykd.ensemble import Floats
from raykd.errors import InputError
from raykd.export.loader import Bundle

MOST_ROWS = 2048
TOLERANCE = 1e-5  # of a probability, for formats that keep the weights as they are
INT8_TOLERANCE = 0.005  # of accuracy, for weights of 8 bits
_ROUNDING = 1e-9
_BATCH = 256
_SECONDS = 0.3  # of timing, at least
_REPEATS = 5  # at least


@dataclass(frozen=True)
class Verified:
    """How an export compares with its source.

    Args:
        rows: compared, of the validation split.
        largest_difference: between two probabilities.
        accuracy, source_accuracy: of the labelled rows; None where no row has a label.
        agreement: share of rows for which both predict the same class.
        bytes: of the file or folder.
        latency_ms_p50: of one row; examples_per_second: of batches of 256, inputs encoded, in this process.
    """

    format: ExportFormat
    rows: int
    largest_difference: float
    accuracy: float | None
    source_accuracy: float | None
    agreement: float
    bytes: int
    latency_ms_p50: float
    examples_per_second: float

    @property
    def accuracy_change(self) -> float:
        """Of the export against its source; without labels the share of rows with another class, below 0."""
        if self.accuracy is None or self.source_accuracy is None:
            return self.agreement - 1.0
        return self.accuracy - self.source_accuracy

    @property
    def most_lost(self) -> float:
        """Of accuracy: of few rows a single one is more than the tolerance."""
        return max(INT8_TOLERANCE, 1 / self.rows)

    @property
    def within(self) -> bool:
        """Whether the format's tolerance holds."""
        if self.format == "litert":
            return self.accuracy_change >= -self.most_lost - _ROUNDING
        return self.largest_difference <= TOLERANCE

    def as_json(self) -> dict[str, Any]:
        """All figures, with the tolerance that they were held against."""
        tolerance = {"accuracy": self.most_lost} if self.format == "litert" else {"probability": TOLERANCE}
        return {**asdict(self), "accuracy_change": self.accuracy_change, "tolerance": tolerance}

    def describe(self) -> str:
        """For an error message and the console."""
        return (
            f"{self.format}: largest difference {self.largest_difference:.1e}, accuracy {self.accuracy_change:+.2%} "
            f"on {self.rows:,} validation rows"
        )


def validation_rows(run: RunDirectory, manifest: Manifest) -> Arrays:
    """Up to `MOST_ROWS` rows of the validation split, as `Reader.read` gives them, a like share of each shard."""
    shards = manifest.of("validation")
    reader = Reader(run, shards, manifest.inputs)
    share = -(-MOST_ROWS // len(shards))
    taken = [{name: values[:share] for name, values in shard.items()} for shard in reader.all()]
    return {name: np.concatenate([shard[name] for shard in taken])[:MOST_ROWS] for name in taken[0]}


def verify(
    bundle: Bundle, format: ExportFormat, size: int, rows: Arrays, expected_BC: Floats, inputs: InputSpec
) -> Verified:
    """Predict the rows with the loaded export. Raises: InputError when the format's tolerance doesn't hold."""
    batches = [batch(rows, inputs, start) for start in range(0, len(rows["label"]), _BATCH)]
    found_BC: NDArray[np.float32] = np.concatenate([bundle.run(one)["probabilities"] for one in batches])
    known_B = rows["label"] >= 0
    labels_B, found_B, expected_B = rows["label"], found_BC.argmax(axis=1), expected_BC.argmax(axis=1)
    measured = Verified(
        format=format,
        rows=len(labels_B),
        largest_difference=_largest(found_BC, expected_BC),
        accuracy=_share(found_B == labels_B, known_B),
        source_accuracy=_share(expected_B == labels_B, known_B),
        agreement=float((found_B == expected_B).mean()),
        bytes=size,
        latency_ms_p50=1000 * _median_seconds(bundle, batches[0][:1]),
        examples_per_second=len(batches[0]) / _median_seconds(bundle, batches[0]),
    )
    if not measured.within:
        raise InputError(
            f"export.formats: {measured.describe()}; expected at most "
            f"{'a loss of accuracy of ' + format_percent(measured.most_lost) if format == 'litert' else TOLERANCE}; "
            f"leave {format} out or export another model"
        )
    return measured


def written_out(tokenizer: str, rows: Arrays, texts: int, size: int = _BATCH) -> list[list[str]]:
    """Texts that a batch of rows' ids stand for, one list for each of the fields; not those that were ingested."""
    decoder = Tokenizer.from_str(tokenizer)
    ids = rows["inputs"][:size].tolist()
    parts = [decoder.decode_batch(_between_separators(row, texts)) for row in ids]
    return [[part[place] for part in parts] for place in range(texts)]


def _between_separators(ids: list[int], texts: int) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for one in ids[1:]:
        if one == SEP_ID and len(found) < texts:
            found.append([])
        elif one not in (SEP_ID, PAD_ID):
            found[-1].append(one)
    return found + [[]] * (texts - len(found))


def verify_texts(bundle: Bundle, path: Path, texts: list[list[str]]) -> None:
    """Compare the SavedModel's own tokenizer with the bundle's. Raises: InputError where predictions differ."""
    columns = [tf.constant(column) for column in texts]
    model = tf.saved_model.load(str(path))  # It must stay: its variables go with it.
    found_BC = model.serve_texts(*columns)["probabilities"].numpy()
    largest = _largest(found_BC, bundle(list(zip(*texts, strict=True))).astype(np.float64))
    if largest > TOLERANCE:
        raise InputError(
            f"export.formats: saved_model: its own tokenizer changes a probability by {largest:.1e}, expected at most "
            f"{TOLERANCE}; leave saved_model out"
        )


def format_percent(share: float) -> str:
    """A share in points."""
    return f"{100 * share:g} points"


def batch(rows: Arrays, inputs: InputSpec, start: int, size: int = _BATCH) -> NDArray[Any]:
    """Inputs [B, L] of up to `size` rows from `start` on, as wide as the longest needs."""
    chosen = slice(start, start + size)
    values: NDArray[Any] = rows["inputs"][chosen, : inputs.width(int(rows["lengths"][chosen].max()))]
    return values


def _largest(found_BC: NDArray[np.float32], expected_BC: Floats) -> float:
    if found_BC.shape != expected_BC.shape or not np.isfinite(found_BC).all():
        return float("inf")
    return float(np.abs(found_BC - expected_BC).max())


def _share(right_B: NDArray[np.bool_], known_B: NDArray[np.bool_]) -> float | None:
    return float(right_B[known_B].mean()) if known_B.any() else None


def _median_seconds(bundle: Bundle, inputs: NDArray[Any]) -> float:
    bundle.run(inputs)
    times: list[float] = []
    until = time.perf_counter() + _SECONDS
    while len(times) < _REPEATS or time.perf_counter() < until:
        begun = time.perf_counter()
        bundle.run(inputs)
        times.append(time.perf_counter() - begun)
    return float(np.median(times))
