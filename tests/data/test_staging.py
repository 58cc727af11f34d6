"""Data that a program holds, as files."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray.data

from raykd.artifacts import RunDirectory
from raykd.config import Columns, DataConfig
from raykd.data.ingest import ingest
from raykd.data.staging import stage
from raykd.errors import InputError

PIXELS = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
LABELS = [0, 1, 1, 0, 1, 0]


def _staged(data: Any, run: RunDirectory) -> dict[str, list[Any]]:
    source, _ = stage(data, run, "label")
    found: dict[str, list[Any]] = pq.read_table(f"{source}/rows.parquet").to_pydict()
    return found


def test_every_kind_of_data_set_becomes_the_same_rows(local_ray: None, run_directory: RunDirectory) -> None:
    flat = PIXELS.reshape(6, 4)
    rows = {"pixels": flat.tolist(), "label": LABELS}
    kinds = [
        {"pixels": PIXELS, "label": np.array(LABELS)},
        pd.DataFrame({"pixels": list(flat), "label": LABELS}),
        pa.table(rows),
        datasets.Dataset.from_dict(rows),
        ray.data.from_items([{"pixels": row, "label": label} for row, label in zip(flat, LABELS, strict=True)]),
        ray.data.from_arrow([pa.table(rows).slice(0, 4), pa.table(rows).slice(4)]),
    ]
    for data in kinds:
        assert _staged(data, run_directory) == rows


def test_the_same_rows_leave_the_file_alone_however_they_come(local_ray: None, run_directory: RunDirectory) -> None:
    table = pa.table({"x": np.arange(20_000.0), "label": np.arange(20_000) % 2})
    stage(table, run_directory, "label")
    path = Path(run_directory.path("source/rows.parquet"))
    first = path.stat().st_mtime_ns
    stage(ray.data.from_arrow([table.slice(0, 12_345), table.slice(12_345)]), run_directory, "label")
    assert path.stat().st_mtime_ns == first
    stage(table.slice(1), run_directory, "label")
    assert path.stat().st_mtime_ns != first
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".digests.json", "rows.parquet"]


def test_splits_and_names_of_a_hugging_face_data_set(local_ray: None, run_directory: RunDirectory) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["yes", "no"])})
    part = datasets.Dataset.from_dict({"text": [f"word {i}" for i in range(30)], "label": [0, 1] * 15}, features)
    data = datasets.DatasetDict({"train": part.shuffle(seed=0), "test": part})
    source, names = stage(data, run_directory, "label")
    assert names == ["yes", "no"]
    config = DataConfig(source=source, columns=Columns(text=["text"]), classes=names, streams=2, vocabulary=200)
    manifest = ingest(run_directory, config, seed=0, tasks=1)
    assert manifest.class_names == ("yes", "no")
    assert {split: manifest.rows(split) for split in ("train", "validation", "test")} == {
        "train": 27, "validation": 3, "test": 30,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "problem"),
    [([1, 2], "data: found list, expected a Ray Dataset"), (pa.table({"x": pa.array([], pa.int64())}), "no row")],
)
def test_what_is_no_data_set_is_refused(data: Any, problem: str, run_directory: RunDirectory) -> None:
    with pytest.raises(InputError, match=problem):
        stage(data, run_directory, "label")
