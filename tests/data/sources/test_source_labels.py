"""What counts as a label, and how names become numbers."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import TEXT, data_of

from raykd.artifacts import RunDirectory
from raykd.data.ingest import ingest
from raykd.data.reader import Reader
from raykd.data.shards import read_manifest
from raykd.data.sources.labels import Labels
from raykd.errors import InputError


@pytest.mark.parametrize(
    ("values", "labels", "found", "wrong"),
    [
        (pa.array([0, 2, None, -1]), Labels(None, False), [0, 2, -1, -1], []),
        (pa.array([0, 2, -2], pa.int8()), Labels(2, False), [0, -1, -1], [1, 2]),
        (pa.array([1.0, 0.5, float("nan"), None]), Labels(None, False), [1, -1, -1, -1], [1, 2]),
        (pa.array([0, 2, None, 255], pa.uint8()), Labels(3, False), [0, 2, -1, -1], [3]),
        (pa.array([1, 1 << 63], pa.uint64()), Labels(None, False), [1, -1], [1]),
        (pa.array([True, False]), Labels(None, False), [1, 0], []),
        (pa.nulls(2), Labels(None, False), [-1, -1], []),
        (pa.array(["1", " 0 ", "", "-1", "x"]), Labels(2, True), [1, 0, -1, -1, -1], [4]),
        (pa.array(["1.0", "0", "-1.0", "1.5"]), Labels(2, True), [1, 0, -1, -1], [3]),  # Integers with a gap.
        (pa.array(["2.0", "-1.0", "nan"]), Labels(None, True), ["2.0", None, "nan"], []),
        (pa.array(["b", "a", None, "c"]), Labels(["a", "b"], True), [1, 0, -1, -1], [3]),
        (pa.array(["b", "a"]).dictionary_encode(), Labels(["a", "b"], True), [1, 0], []),
        (pa.array(["1", "0"]), Labels(["a", "b"], True), [1, 0], []),  # Numbers of named classes.
        (pa.array(["1", "0"]), Labels(["1", "0"], True), [0, 1], []),  # Names that look like numbers.
        (pa.array(["b", "", "-1", None, "-7"]), Labels(None, True), ["b", None, None, None, "-7"], [4]),
        (pa.array([3, None]), Labels(None, True), ["3", None], []),
        (pa.nulls(1), Labels(None, True), [None], []),
        (pa.array([3_000_000_000]), Labels(None, False), [-1], [0]),
    ],
)
def test_labels_of_a_column(values: pa.Array, labels: Labels, found: list[Any], wrong: list[int]) -> None:
    read, problems = labels.read(pa.chunked_array([values]))
    assert read.to_pylist() == found
    assert read.type == (pa.string() if labels.open else pa.int32())
    assert sorted(problems) == wrong


def _labels(run: RunDirectory) -> dict[int, int]:
    manifest = read_manifest(run)
    rows = list(Reader(run, manifest.of("train", "validation", "test"), manifest.inputs).all())
    return {
        int(row): int(label) for shard in rows for row, label in zip(shard["example_id"], shard["label"], strict=True)
    }


def test_names_are_numbered_in_alphabetical_order_over_all_files(
    local_ray: None, tmp_path: Path, run_directory: RunDirectory
) -> None:
    names = ["pear", "apple", "fig"]
    for file in range(2):
        rows = [{"query": f"word {row}", "label": names[(row + file) % 3]} for row in range(20)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{file}.parquet")
    manifest = ingest(run_directory, data_of(tmp_path, streams=2, vocabulary=200), seed=0, tasks=2)
    assert (manifest.classes, manifest.class_names) == (3, ("apple", "fig", "pear"))
    assert read_manifest(run_directory) == manifest
    expected = {20 * file + row: [2, 0, 1][(row + file) % 3] for file in range(2) for row in range(20)}
    assert _labels(run_directory) == expected


@pytest.mark.parametrize("ending", ["", ".0"])
def test_integers_written_as_texts_are_numbers_without_names(
    local_ray: None, tmp_path: Path, run_directory: RunDirectory, ending: str
) -> None:
    rows = "".join(f"word {row},{row % 11}{ending}\n" for row in range(44))
    (tmp_path / "rows.csv").write_text("query,label\n" + rows)
    data = data_of(tmp_path / "rows.csv", streams=2, vocabulary=200)
    manifest = ingest(run_directory, data, seed=0, tasks=1)
    assert (manifest.classes, manifest.class_names) == (11, ())
    assert _labels(run_directory) == {row: row % 11 for row in range(44)}


def test_a_missing_class_may_be_allowed(local_ray: None, tmp_path: Path, run_directory: RunDirectory) -> None:
    (tmp_path / "rows.csv").write_text("query,label\n" + "".join(f"word {row},{row % 2}\n" for row in range(20)))
    settings = {"streams": 2, "vocabulary": 200, "classes": ["a", "b", "c"]}
    data = data_of(tmp_path / "rows.csv", TEXT, **settings)
    with pytest.raises(InputError, match=r"class 2 \(c\) of 0 to 2 has no example"):
        ingest(run_directory, data, seed=0, tasks=1)
    allowed = data.model_copy(update={"allow_missing_classes": True})
    assert ingest(run_directory, allowed, seed=0, tasks=1).classes == 3
