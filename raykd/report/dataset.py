"""What the run learned from and was measured on: rows by split and class, and rows put aside with their reasons."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
from pyarrow import fs

from raykd.artifacts import EXAMPLES, RunDirectory
from raykd.data.shards import SPLITS, Manifest, read_manifest
from raykd.report.sheet import Sheet
from raykd.report.wording import percent

QUARANTINE = "quarantine"
_CLASSES = 12  # whose rows are listed
_REASONS = 12


@dataclass(frozen=True)
class Dataset:
    """Args: rows: by split; labels: by split and class, of the splits with labels; quarantine: rows by reason."""

    manifest: Manifest
    rows: dict[str, int]
    labels: dict[str, dict[int, int]]
    quarantine: dict[str, int]

    @property
    def inputs(self) -> str:
        """What a row is."""
        inputs = self.manifest.inputs
        if inputs.kind == "tokens":
            return f"texts of at most {inputs.length} tokens, of a vocabulary of {inputs.vocabulary:,}"
        return f"{inputs.length:,} numbers ({inputs.dtype})"

    @property
    def class_names(self) -> list[str]:
        """In the order of the classes."""
        return list(self.manifest.class_names) or [str(number) for number in range(self.manifest.classes)]

    def classes_of(self, split: str) -> str:
        """Its rows by class, in words."""
        labels = self.labels.get(split)
        if not labels:
            return "no labels"
        total = sum(labels.values())
        if len(labels) > _CLASSES:
            return f"{len(labels)} classes of {min(labels.values()):,} to {max(labels.values()):,} rows"
        names = self.class_names
        return ", ".join(
            f"{names[label]}: {rows:,} ({percent(rows / total, 0)})" for label, rows in sorted(labels.items())
        )

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why rows were put aside, most frequent first; rare reasons together."""
        counted = Counter(self.quarantine).most_common()
        rest = sum(rows for _, rows in counted[_REASONS:])
        return [*counted[:_REASONS], *([("other reasons", rest)] if rest else [])]


def read_dataset(run: RunDirectory) -> Dataset | None:
    """The run's data; None where its examples are gone."""
    if not run.exists(f"{EXAMPLES}/manifest.json"):
        return None
    manifest = read_manifest(run)
    rows = {split: manifest.rows(split) for split in SPLITS if manifest.rows(split)}
    labels = {split: _labels(run, manifest, split) for split in rows if split != "unlabelled"}
    return Dataset(manifest, rows, {split: found for split, found in labels.items() if found}, _quarantined(run))


def _labels(run: RunDirectory, manifest: Manifest, split: str) -> dict[int, int]:
    counted: Counter[int] = Counter()
    for shard in manifest.of(split):
        counted.update(_column(run, run.path(f"{EXAMPLES}/{shard.name}"), "label"))
    return {label: rows for label, rows in counted.items() if label >= 0}


def _quarantined(run: RunDirectory) -> dict[str, int]:
    selector = fs.FileSelector(run.path(QUARANTINE), allow_not_found=True, recursive=True)
    counted: Counter[str] = Counter()
    for entry in run.filesystem.get_file_info(selector):
        if entry.base_name.endswith(".parquet"):
            counted.update(map(str, _column(run, entry.path, "reason")))
    return dict(counted)


def _column(run: RunDirectory, path: str, name: str) -> list[Any]:
    """One column of a Parquet file, the others unread."""
    values: list[Any] = pq.read_table(path, columns=[name], filesystem=run.filesystem)[name].to_pylist()
    return values


def dataset_sheet(dataset: Dataset) -> Sheet:
    """Rows by split and class, and by reason."""
    rows: list[tuple[str, str, int]] = []
    for split, count in dataset.rows.items():
        rows.append((split, "all", count))
        rows += [
            (split, f"class {dataset.class_names[label]}", number)
            for label, number in sorted(dataset.labels.get(split, {}).items())
        ]
    rows += [(QUARANTINE, reason, count) for reason, count in dataset.quarantine.items()]
    return Sheet("data", ("split", "part", "rows"), rows)
