"""Groups of rows: numbered by value, kept whole by splits, carried to the shards of the test split."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.artifacts import RunDirectory
from raykd.config import Columns, DataConfig
from raykd.data.deal import deal
from raykd.data.groups import check_ranked, held_out, numbers_of
from raykd.data.ingest import ingest
from raykd.data.reader import Reader
from raykd.data.shards import SPLITS
from raykd.errors import InputError
from raykd.loading import parse_config


def test_equal_values_have_equal_numbers_whatever_their_chunk() -> None:
    one = numbers_of(pa.chunked_array([["a", "b"], ["a", "c"]]), "x")
    assert one[0] == one[2]
    assert len(set(one.tolist())) == 3
    assert (numbers_of(pa.chunked_array([["c"]]), "x") == one[3]).all()
    assert (numbers_of(pa.chunked_array([[3, 4]]), "x") == numbers_of(pa.chunked_array([["3", "4"]]), "x")).all()


def test_null_and_lists_are_refused() -> None:
    with pytest.raises(InputError, match=r"a\.parquet, column q, row 1: found null, expected the name or number"):
        numbers_of(pa.chunked_array([["a", None]]), "a.parquet, column q")
    with pytest.raises(InputError, match="expected names or numbers; convert the column"):
        numbers_of(pa.chunked_array([[[1, 2]]]), "a.parquet, column q")


def test_whole_groups_are_held_out_in_the_order_of_their_first_rows() -> None:
    rows, groups = np.array([3, 0, 4, 1, 2]), np.array([7, 5, 7, 5, 9])  # groups 5, 7, 9, 5, 7
    every = np.ones(5, bool)
    assert held_out(rows, groups, every, 1).tolist() == [0, 3]
    assert held_out(rows, groups, every, 2).tolist() == [0, 3]
    assert held_out(rows, groups, every, 3).tolist() == [0, 1, 3, 4]
    assert held_out(rows, groups, every, 9).tolist() == [0, 1, 2, 3, 4]
    assert held_out(rows, groups, every, 0).tolist() == []
    # Of a group with a row that has no label the others count.
    assert held_out(rows, groups, np.array([1, 1, 1, 0, 1], bool), 2).tolist() == [0, 1, 4]


def test_no_split_takes_a_part_of_a_group() -> None:
    groups = np.random.default_rng(0).integers(0, 60, 300)
    index = {"example_id": np.arange(300), "label": np.arange(300, dtype=np.int32) % 2, "group": groups}
    dealt = deal(index, DataConfig(streams=2), seed=0)
    splits = np.array([SPLITS.index(dealt.places[shard][0]) for shard in dealt.shard])
    assert all(len(set(splits[groups == group].tolist())) == 1 for group in range(60))
    sizes = {split: int((splits == i).sum()) for i, split in enumerate(SPLITS)}
    assert 60 <= sizes["test"] < 75  # 20 % of 300, and the rest of the last group
    assert 30 <= sizes["validation"] < 45


def test_three_classes_and_built_in_sources_are_refused() -> None:
    check_ranked(2)
    with pytest.raises(InputError, match=r"data\.columns\.group: found 3 classes, expected 2"):
        check_ranked(3)
    values = {"data": {"source": "docsqa", "columns": {"group": "q"}}, "student": {"model": {"type": "mlp"}},
              "teachers": [{"name": "a", "model": {"type": "mlp"}}]}  # fmt: skip
    with pytest.raises(InputError, match=r"data\.columns\.group: found q, expected none with data\.source docsqa"):
        parse_config(values)


@pytest.mark.parametrize("repaired", [0, pytest.param(10, marks=pytest.mark.slow)])
def test_groups_reach_the_shards_of_the_test_split_alone(
    local_ray: None, tmp_path: Path, run_directory: RunDirectory, repaired: int
) -> None:
    """Through re-pairing too, whose new rows have no group; the question itself names it."""
    rows = [{"q": f"what is word {i // 3}", "a": f"word {i} it is", "label": i % 2} for i in range(90)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet", row_group_size=40)
    columns = Columns(text=["q", "a"], group="q")
    data = DataConfig(
        source=str(tmp_path / "pairs.parquet"),
        columns=columns,
        max_length=16,
        vocabulary=200,
        streams=2,
        repaired=repaired,
    )
    manifest = ingest(run_directory, data, seed=0, tasks=2)
    assert manifest.rows("test") == 18  # six questions of three
    found = [shard["group"] for shard in Reader(run_directory, manifest.of("test"), manifest.inputs).all()]
    assert np.unique(np.concatenate(found), return_counts=True)[1].tolist() == [3] * 6
    train = next(Reader(run_directory, manifest.of("train"), manifest.inputs).all())
    assert "group" not in train


def test_only_files_that_are_ranked_need_the_column(
    local_ray: None, tmp_path: Path, run_directory: RunDirectory
) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        table = {"x": list(rng.random((20, 2))), "label": np.arange(20) % 2}
        pq.write_table(pa.table(table), tmp_path / f"{split}.parquet")
    data = DataConfig(source=str(tmp_path), columns=Columns(features="x", group="q"), streams=2)
    with pytest.raises(InputError, match=r"test\.parquet: column q is missing"):
        ingest(run_directory, data, 0, 1)
    pq.write_table(pa.table({**table, "q": np.arange(20) // 5}), tmp_path / "test.parquet")
    manifest = ingest(run_directory, data, 0, 1)
    assert manifest.rows("test") == 20
