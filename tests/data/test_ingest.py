"""Ingestion: a user's own Parquet files from source to shards."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.artifacts import RunDirectory
from raykd.config import Columns, DataConfig
from raykd.data import ingest as module
from raykd.data.ingest import ingest
from raykd.data.reader import Reader
from raykd.data.shards import Manifest
from raykd.errors import InputError


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rows = [{"question": f"what is word {i}", "answer": f"word {i % 7} it is", "label": i % 2} for i in range(90)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "texts.parquet", row_group_size=40)
    return tmp_path / "texts.parquet"


def _data(source: Path, **changes: Any) -> DataConfig:
    columns = Columns(text=["question", "answer"])
    return DataConfig(source=str(source), columns=columns, max_length=16, vocabulary=200, streams=2, **changes)


def _rows(run: RunDirectory, manifest: Manifest) -> dict[int, tuple[str, int, list[int]]]:
    found = {}
    for shard, arrays in zip(manifest.shards, Reader(run, manifest.shards, manifest.inputs).all(), strict=True):
        for row, label, ids in zip(arrays["example_id"], arrays["label"], arrays["inputs"], strict=True):
            found[int(row)] = shard.name, int(label), ids.tolist()
    return found


def test_parquet_pairs_become_encoded_shards(local_ray: None, texts: Path, run_directory: RunDirectory) -> None:
    manifest = ingest(run_directory, _data(texts, labelled=30), seed=0, tasks=2)
    assert {split: manifest.rows(split) for split in ("train", "unlabelled", "validation", "test")} == {
        "train": 30, "unlabelled": 33, "validation": 9, "test": 18,
    }  # fmt: skip
    rows = _rows(run_directory, manifest)
    assert sorted(rows) == list(range(90))
    assert all(label == (-1 if "unlabelled" in name else row % 2) for row, (name, label, _) in rows.items())
    assert all(ids[0] == 2 and ids.count(3) == 2 for _, _, ids in rows.values())


@pytest.mark.slow
def test_shuffling_through_ray_gives_the_same_shards(
    local_ray: None, texts: Path, run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ingest(run_directory, _data(texts), seed=0, tasks=2)
    monkeypatch.setattr(module, "_IN_MEMORY_BYTES", 0)
    assert ingest(run_directory, _data(texts), seed=0, tasks=2) == small


def _changed(source: Path, column: str, values: Any) -> Path:
    table = pq.read_table(source)
    table = table.set_column(table.schema.get_field_index(column), column, values)
    pq.write_table(table, source.with_name("changed.parquet"))
    return source.with_name("changed.parquet")


def test_missing_column_names_the_file_and_what_is_there(texts: Path, run_directory: RunDirectory) -> None:
    data = DataConfig(source=str(texts), columns=Columns(text=["query"]))
    with pytest.raises(InputError, match=r"texts\.parquet: column query is missing; found question, answer, label"):
        ingest(run_directory, data, 0, 1)


def test_truncated_parquet_is_refused(texts: Path, run_directory: RunDirectory) -> None:
    texts.write_bytes(texts.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"texts\.parquet: not a complete Parquet file"):
        ingest(run_directory, _data(texts), 0, 1)


def test_absent_class_is_refused(local_ray: None, texts: Path, run_directory: RunDirectory) -> None:
    source = _changed(texts, "label", pa.array([0, 2] * 45))
    with pytest.raises(InputError, match="class 1 of 0 to 2 has no example"):
        ingest(run_directory, _data(source), 0, 1)


def test_bad_label_found_by_a_task_is_one_line(local_ray: None, texts: Path, run_directory: RunDirectory) -> None:
    source = _changed(texts, "label", pa.array([0, 1, -7] * 30))
    with pytest.raises(InputError) as raised:
        ingest(run_directory, _data(source), 0, 1)
    assert str(raised.value) == (
        f"{source}, row 2: label -7, expected 0 or more, or -1 or null where unknown; fix the row "
        f"(30 of 90 rows are bad, see {run_directory.path('quarantine')}; data.max_bad_fraction allows 0)"
    )


def test_rows_to_hold_out_are_taken_from_the_labelled_ones(
    local_ray: None, texts: Path, run_directory: RunDirectory
) -> None:
    source = _changed(texts, "label", pa.array([0, 1, None] * 30))
    manifest = ingest(run_directory, _data(source), 0, 1)
    assert {split: manifest.rows(split) for split in ("train", "unlabelled", "validation", "test")} == {
        "train": 42, "unlabelled": 30, "validation": 6, "test": 12,
    }  # fmt: skip
    labels: dict[str, set[int]] = {split: set() for split in ("train", "unlabelled", "validation", "test")}
    for name, label, _ in _rows(run_directory, manifest).values():
        labels[name.partition("/")[0]].add(label)
    assert labels == {"train": {0, 1}, "unlabelled": {-1}, "validation": {0, 1}, "test": {0, 1}}
