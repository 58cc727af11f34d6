"""Re-paired pairs: new, of the training part alone, and the same every time."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from raykd.artifacts import RunDirectory
from raykd.config import Columns, DataConfig
from raykd.data import ingest as ingest_module
from raykd.data import repair
from raykd.data.ingest import ingest
from raykd.data.reader import Reader
from raykd.data.repair import re_pair, shares_of
from raykd.errors import InputError

Pair = tuple[str, str]


def _table(pairs: list[Pair]) -> pa.Table:
    return pa.table({"text_0": [query for query, _ in pairs], "text_1": [passage for _, passage in pairs]})


def _pairs(table: pa.Table) -> list[Pair]:
    return list(zip(table["text_0"].to_pylist(), table["text_1"].to_pylist(), strict=True))


FRUIT = [
    ("red apple", "an apple is a fruit"),
    ("green pear", "this pear tastes sweet"),
    ("sweet apple", "red things are warm"),
    ("grey stone", "stones lie about"),
]


def _made(pairs: list[Pair], count: int, usable: Any = None, seed: int = 0) -> list[Pair]:
    mask = np.ones(len(pairs), bool) if usable is None else np.array(usable)
    return _pairs(re_pair(_table(pairs), mask, count, [seed]))


def test_half_of_the_pairs_share_a_word_and_the_nearest_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "HARD_SHARE", 1.0)
    # One hard pair for each query that shares a word with a passage it is not paired with: "red apple" with the one
    # about red things, "sweet apple" with the apple or the sweet pear; grey stones and green pears share none.
    made = _made(FRUIT, 4)
    shared = {pair for pair in made if set(pair[0].split()) & set(pair[1].split())}
    assert ("red apple", "red things are warm") in shared
    assert {query for query, _ in shared} == {"red apple", "sweet apple"}


def test_the_nearest_passage_has_the_most_rare_words() -> None:
    passages = ["blue whale in the sea", "blue cup", "the sea and the sun", "a red cup", "sun"]
    pairs = [("blue whale sea", "sun"), *((f"query {i}", passage) for i, passage in enumerate(passages))]
    usable = np.array([True] + [False] + [True] * 4)
    # The other queries share no word with a passage, so the only hard pair comes first. Of the usable passages
    # "blue cup" has 1 of its 2 words from the query, "the sea and the sun" 1 of 4.
    assert {_made(pairs, 10, usable, seed)[0] for seed in range(5)} == {("blue whale sea", "blue cup")}


def test_new_pairs_are_all_there_are_and_none_that_is() -> None:
    pairs = [(f"q{i}", f"p{i % 3}") for i in range(5)]
    made = _made(pairs, 10)
    everything = {(f"q{i}", f"p{j}") for i in range(5) for j in range(3)}
    assert len(made) == 10
    assert set(made) == everything - set(pairs)
    assert set(_made(pairs, 99)) == set(made)  # fewer than asked for: there are no more


def test_texts_of_other_rows_are_not_used_and_their_pairs_not_made_again() -> None:
    # q0 with p1 is a pair to test on.
    pairs = [("q0", "p0"), ("q1", "p1"), ("q0", "p1"), ("q2", "p2")]
    assert _made(pairs, 9, [True, True, False, False]) == [("q1", "p0")]


def test_random_pairs_of_many_are_drawn_without_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "_LISTED", 0)
    pairs = [(f"query {i}", f"passage {i}") for i in range(200)]
    made = _made(pairs, 500)
    assert len(set(made)) == 500
    assert not set(made) & set(pairs)


def test_shares_follow_the_rows_and_add_up() -> None:
    np.testing.assert_array_equal(shares_of(np.array([10, 0, 20, 10]), 7), [1, 0, 4, 2])
    assert shares_of(np.array([3, 3, 1]), 100).sum() == 100


# From source to shards.


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [
        {"query": f"what is word {i}", "passage": f"word {i} follows word {i - 1}", "label": i % 2} for i in range(90)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "texts.parquet", row_group_size=40)
    return tmp_path / "texts.parquet"


def _data(source: Path, **changes: Any) -> DataConfig:
    columns = Columns(text=["query", "passage"])
    return DataConfig(
        **{"source": str(source), "columns": columns, "max_length": 16, "vocabulary": 200, "streams": 2, **changes}
    )


def _rows(run: RunDirectory, data: DataConfig, tasks: int = 2) -> dict[int, tuple[str, int, tuple[int, ...]]]:
    manifest = ingest(run, data, seed=0, tasks=tasks)
    return {
        int(row): (shard.split, int(label), tuple(ids.tolist()))
        for shard, arrays in zip(manifest.shards, Reader(run, manifest.shards, manifest.inputs).all(), strict=True)
        for row, label, ids in zip(arrays["example_id"], arrays["label"], arrays["inputs"], strict=True)
    }


@pytest.mark.parametrize("pool_rows", [20_000, 25])
def test_new_rows_join_the_unlabelled_ones_and_change_nothing_else(
    local_ray: None, source: Path, run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch, pool_rows: int
) -> None:
    monkeypatch.setattr(repair, "POOL_ROWS", pool_rows)
    before = _rows(run_directory, _data(source, labelled=30))
    after = _rows(run_directory, _data(source, labelled=30, repaired=50))
    assert {row: after[row] for row in before} == before
    new = {row: found for row, found in after.items() if row not in before}
    assert sorted(new) == list(range(90, 140))
    assert {(split, label) for split, label, _ in new.values()} == {("unlabelled", -1)}
    inputs = [ids for _, _, ids in after.values()]
    assert len(set(inputs)) == len(inputs)  # no pair twice, encoded
    held_out = [ids for split, _, ids in before.values() if split in ("validation", "test")]
    queries = {ids[: ids.index(3)] for ids in held_out}
    assert not queries & {ids[: ids.index(3)] for _, _, ids in new.values()}
    assert _rows(run_directory, _data(source, labelled=30, repaired=50), tasks=1) == after


@pytest.mark.slow
def test_shuffling_through_ray_makes_the_same_pairs(
    local_ray: None, source: Path, run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ingest(run_directory, _data(source, repaired=20), seed=0, tasks=2)
    monkeypatch.setattr(ingest_module, "_IN_MEMORY_BYTES", 0)
    assert ingest(run_directory, _data(source, repaired=20), seed=0, tasks=2) == small


def test_more_pairs_than_there_are_and_single_texts_are_refused(
    local_ray: None, source: Path, run_directory: RunDirectory
) -> None:
    # 63 rows to train on: 63 * 62 new pairs.
    with pytest.raises(InputError, match=r"data\.repaired: found 5000, expected at most 3906 new pairs"):
        ingest(run_directory, _data(source, repaired=5000), seed=0, tasks=2)
    single = _data(source, repaired=5, columns=Columns(text=["query"]))
    with pytest.raises(InputError, match=r"data\.repaired: found 5, expected 0 with rows that are no pairs"):
        ingest(run_directory, single, seed=0, tasks=2)
    assert pc.count(pq.read_table(source)["query"]).as_py() == 90
