"""External teachers' columns: what becomes of their numbers, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.artifacts import RunDirectory, external_folder
from raykd.config import Columns, DataConfig, ExternalColumn
from raykd.data.external import logits_of, wrong_rows
from raykd.data.ingest import ingest
from raykd.data.reader import Reader
from raykd.data.shards import read_manifest, read_table
from raykd.errors import InputError

PROBABILITIES = ExternalColumn(column="p")
LOGITS = ExternalColumn(column="p", kind="logits")
WHERE = "train.parquet, row group 0"


def _logits(values: Any, external: ExternalColumn = PROBABILITIES) -> list[list[float]]:
    column = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values)])
    lists = logits_of(column, external, WHERE)
    assert lists.type == pa.list_(pa.float16())
    return [np.asarray(row, np.float64).tolist() for row in lists.to_pylist()]


def test_one_probability_is_that_of_class_1() -> None:
    # log 0.25 = -1.386294, log 0.75 = -0.287682, log 0.5 = -0.693147; float16 stand 1/1024, 1/4096 and 1/2048 apart.
    assert _logits([0.75, 0.5]) == [[-1420 / 1024, -1178 / 4096], [-1420 / 2048, -1420 / 2048]]


def test_certain_probabilities_are_clipped_at_a_millionth() -> None:
    # log 1e-6 = -13.8155; float16 near 14 are 1/128 apart.
    assert _logits([0.0, 1.0]) == [[0.0, -13.8125], [-13.8125, 0.0]]
    assert _logits(pa.chunked_array([pa.array([0, 1], pa.int8())])) == [[0.0, -13.8125], [-13.8125, 0.0]]


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 3), pa.large_list(pa.float64())])
def test_lists_of_probabilities_become_their_logarithms(kind: pa.DataType) -> None:
    rows = [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]
    found = _logits(pa.chunked_array([pa.array(rows[:1], kind), pa.array(rows[1:], kind)]))
    assert found == [[-0.693359375, -1.38671875, -1.38671875], [0.0, -13.8125, -13.8125]]


def test_logits_stay_as_they_are_and_one_is_the_log_odds_of_class_1() -> None:
    assert _logits([[-1.5, 2.0, 0.25]], LOGITS) == [[-1.5, 2.0, 0.25]]
    assert _logits([3.0, -0.5], LOGITS) == [[0.0, 3.0], [0.0, -0.5]]


def test_a_column_of_nulls_has_scored_nothing() -> None:
    assert _logits(pa.chunked_array([pa.nulls(2, pa.float32())])) == [[], []]


@pytest.mark.parametrize(
    ("values", "external", "problem"),
    [
        ([0.5, None], PROBABILITIES, "row 1: found null, expected a score; fix the row"),
        ([0.5, 0.2, float("nan")], PROBABILITIES, "row 2: found nan, expected probabilities from 0 to 1"),
        ([0.5, 1.5], PROBABILITIES, "row 1: found 1.5, expected probabilities from 0 to 1; fix the row or set kind"),
        ([[0.5, 0.5], [-0.1, 1.1]], PROBABILITIES, "row 1: found -0.1, 1.1, expected probabilities from 0 to 1"),
        ([[0.5, 0.5], [0.5, 0.4]], PROBABILITIES, "row 1: found a sum of 0.9, expected probabilities that sum to 1"),
        ([[0.5, 0.5], [0.2, 0.3, 0.5]], PROBABILITIES, "row 1: found 3 numbers, expected 2, one per class"),
        ([[0.5, 0.5], [0.5, None]], PROBABILITIES, "row 1: found null, expected numbers"),
        ([[1.0]], PROBABILITIES, "row 0: found 1 numbers, expected 2, one per class"),
        ([[0.3], [0.4], [0.2]], PROBABILITIES, "row 0: found 1 numbers, expected 2, one per class"),
        ([[1.0, 2.0], [1e5, 0.0]], LOGITS, "row 1: found 100000, 0, expected finite logits of at most 65504"),
        (["high", "low"], PROBABILITIES, "found string, expected numbers or lists of numbers; convert the column"),
    ],
)
def test_bad_scores_are_named_with_file_and_row(values: list[Any], external: ExternalColumn, problem: str) -> None:
    with pytest.raises(InputError) as raised:
        _logits(values, external)
    assert str(raised.value).startswith(f"{WHERE}, column p")
    assert problem in str(raised.value)


def test_every_row_of_a_wrong_length_is_named() -> None:
    column = pa.chunked_array([pa.array([[0.3], [0.4], None])])
    assert dict(wrong_rows(column, PROBABILITIES)) == {
        0: "found 1 numbers, expected 2, one per class; fix the row",
        1: "found 1 numbers, expected 2, one per class; fix the row",
        2: "found null, expected a score; fix the row",
    }


@pytest.mark.parametrize("total", [0.9995, 1.0004])
def test_rounded_probabilities_are_taken(total: float) -> None:
    assert len(_logits([[0.5, total - 0.5]])) == 1


# From source to shards.


def _write(folder: Path, split: str, rows: int, **columns: Any) -> None:
    features = np.random.default_rng(rows).random((rows, 4), np.float32)
    table = pa.table({"pixels": list(features), **columns})
    pq.write_table(table, folder / f"{split}.parquet", row_group_size=16)


def _p(rows: int) -> np.ndarray:
    return np.arange(1, rows + 1) / (rows + 1)


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Scores without labels to learn from and to validate on, labels without scores to test on."""
    folder = tmp_path / "scored"
    folder.mkdir()
    for split, rows in (("train", 40), ("validation", 12)):
        _write(folder, split, rows, p=_p(rows))
    _write(folder, "test", 10, label=np.arange(10) % 2)
    return folder


def _data(folder: Path, **changes: Any) -> DataConfig:
    columns = Columns(features="pixels", external={"web": PROBABILITIES})
    return DataConfig(**{"source": str(folder), "columns": columns, "streams": 2, **changes})


def test_shards_of_logits_stand_row_by_row_beside_the_examples(
    local_ray: None, scored: Path, run_directory: RunDirectory
) -> None:
    manifest = ingest(run_directory, _data(scored), seed=0, tasks=2)
    assert manifest == read_manifest(run_directory)
    assert manifest.classes == 2
    assert manifest.external == (("web", ("train", "validation")),)
    assert manifest.scored_only == ("train", "validation")
    assert {split: manifest.rows(split) for split in ("train", "unlabelled", "validation", "test")} == {
        "train": 40, "unlabelled": 0, "validation": 12, "test": 10,
    }  # fmt: skip
    reader = Reader(run_directory, manifest.of("train"), manifest.inputs, (external_folder("web"),))
    shards = list(reader.all())  # Refuses shards whose ids differ.
    ids = np.concatenate([shard["example_id"] for shard in shards])
    # Files are read by name: test has ids 0 to 9, train 10 to 49.
    probability = np.take(_p(40), ids - 10)
    expected = np.log([1 - probability, probability]).T.astype(np.float16)
    np.testing.assert_array_equal(np.concatenate([shard["teacher_logits"][:, 0] for shard in shards]), expected)
    assert all((shard["label"] == -1).all() for shard in shards)
    assert not run_directory.exists(f"{external_folder('web')}/test")


def test_the_cap_on_labelled_rows_holds_for_scored_ones(
    local_ray: None, scored: Path, run_directory: RunDirectory
) -> None:
    manifest = ingest(run_directory, _data(scored, labelled=15), seed=0, tasks=1)
    assert (manifest.rows("train"), manifest.rows("unlabelled")) == (15, 25)
    assert manifest.external == (("web", ("train", "unlabelled", "validation")),)
    shard = manifest.of("unlabelled")[0]
    assert len(read_table(run_directory, f"{external_folder('web')}/{shard.name}")) == shard.rows


def test_labels_beside_scores_leave_labelled_rows_to_train_and_to_hold_out(
    local_ray: None, tmp_path: Path, run_directory: RunDirectory
) -> None:
    labels = pa.array([i % 3 if i < 60 else None for i in range(100)])
    wide = np.random.default_rng(0).dirichlet(np.ones(3), 100)
    _write(tmp_path, "rows", 100, label=labels, p=list(wide))
    manifest = ingest(run_directory, _data(tmp_path / "rows.parquet"), seed=0, tasks=1)
    assert manifest.classes == 3
    assert {split: manifest.rows(split) for split in ("train", "unlabelled", "validation", "test")} == {
        "train": 42, "unlabelled": 40, "validation": 6, "test": 12,
    }  # fmt: skip
    assert manifest.scored_only == ()
    assert manifest.external == (("web", ("train", "unlabelled", "validation", "test")),)


def test_unlabelled_rows_may_all_be_unscored(local_ray: None, scored: Path, run_directory: RunDirectory) -> None:
    _write(scored, "unlabelled", 20, p=pa.array([None] * 20, pa.float32()))
    manifest = ingest(run_directory, _data(scored), seed=0, tasks=1)
    assert (manifest.rows("train"), manifest.rows("unlabelled")) == (40, 20)
    assert manifest.external == (("web", ("train", "validation")),)
    assert manifest.scored_only == ("train", "validation")


def _refused(folder: Path, run: RunDirectory, **changes: Any) -> str:
    with pytest.raises(InputError) as raised:
        ingest(run, _data(folder, **changes), seed=0, tasks=1)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_bad_score_found_by_a_task_is_one_line(local_ray: None, scored: Path, run_directory: RunDirectory) -> None:
    _write(scored, "train", 40, p=np.where(np.arange(40) == 21, 7.0, 0.5))
    message = _refused(scored, run_directory)
    assert message.startswith(
        f"{scored}/train.parquet, row 21: column p: found 7, expected probabilities from 0 to 1; "
        "fix the row or set kind: logits (1 of 62 rows is bad"
    )


def test_training_files_need_the_column_and_test_files_the_label(scored: Path, run_directory: RunDirectory) -> None:
    _write(scored, "test", 10, other=np.arange(10))
    assert "test.parquet: column label is missing; found pixels, other" in _refused(scored, run_directory)
    _write(scored, "test", 10, label=np.arange(10) % 2)
    _write(scored, "unlabelled", 10, label=np.arange(10) % 2)
    assert "unlabelled.parquet: column p is missing; found pixels, label" in _refused(scored, run_directory)


@pytest.mark.parametrize(
    ("split", "rows", "columns", "problem"),
    [
        ("test", 10, {"label": pa.array([0, None] * 5)}, "5 of 10 rows of the test split have no label (first"),
        ("validation", 12, {"label": pa.array([None] * 12)}, "12 of 12 rows of the validation split have no label"),
        ("train", 20, {"p": pa.array([0.5] * 16 + [None] * 4)}, "web has no score for 4 of 20 rows of the train split"),
        ("validation", 20, {"p": pa.array([0.5] * 16 + [None] * 4)}, "4 of 20 rows of the validation split"),
        ("unlabelled", 20, {"p": pa.array([0.5] * 16 + [None] * 4)}, "4 of 20 rows of the unlabelled split"),
        ("test", 10, {"label": np.arange(10)}, "label 2, but there are 2 classes (0-1) in data.columns.external"),
        ("train", 40, {"p": [[0.2, 0.3, 0.5]] * 40}, "found 2 classes, expected 3 as elsewhere"),
    ],
)
def test_rows_that_nobody_can_learn_from_or_measure_on_are_refused(
    local_ray: None, scored: Path, run_directory: RunDirectory, split: str, rows: int, columns: Any, problem: str
) -> None:
    _write(scored, split, rows, **columns)
    assert problem in _refused(scored, run_directory)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_rows_need_a_label_without_an_external_teacher(
    local_ray: None, tmp_path: Path, run_directory: RunDirectory, split: str
) -> None:
    for name in ("train", "validation", "test"):
        _write(tmp_path, name, 20, label=pa.array([0, 1] * 10 if name != split else [None] * 20, pa.int32()))
    message = _refused(tmp_path, run_directory, columns=Columns(features="pixels"))
    assert f"20 of 20 rows of the {split} split have no label" in message


def test_new_pairs_have_no_score_and_the_others_keep_theirs(
    local_ray: None, tmp_path: Path, run_directory: RunDirectory
) -> None:
    for split, rows in (("train", 40), ("validation", 12), ("test", 12)):
        texts = {name: [f"{split} {name} {row}" for row in range(rows)] for name in ("query", "passage")}
        known = {"label": np.arange(rows, dtype=np.int32) % 2} if split == "test" else {"p": _p(rows)}
        pq.write_table(pa.table({**texts, **known}), tmp_path / f"{split}.parquet")
    columns = Columns(text=["query", "passage"], external={"web": ExternalColumn(column="p")})
    manifest = ingest(run_directory, _data(tmp_path, columns=columns, repaired=30), seed=0, tasks=2)
    assert {split: manifest.rows(split) for split in ("train", "unlabelled")} == {"train": 40, "unlabelled": 30}
    assert manifest.external == (("web", ("train", "validation")),)
    for shard in manifest.shards:
        kept = run_directory.exists(f"{external_folder('web')}/{shard.name}")
        assert kept == (shard.split in ("train", "validation"))
