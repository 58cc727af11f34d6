"""How rows are dealt to splits and shards."""

from typing import Any

import numpy as np
import pytest

from raykd.config import DataConfig
from raykd.data.deal import LEFT_OUT, deal
from raykd.errors import InputError


def _index(rows: int) -> dict[str, Any]:
    return {"example_id": np.arange(rows), "label": np.arange(rows, dtype=np.int32) % 3}


def test_rows_are_dealt_evenly_and_exactly() -> None:
    data = DataConfig(labelled=50, unlabelled=60, validation=0.1, test=0.2, streams=4, shard_rows=10)
    dealt = deal(_index(200), data, seed=1)
    sizes: dict[str, list[int]] = {}
    for number, (split, _) in enumerate(dealt.places):
        sizes.setdefault(split, []).append(int((dealt.shard == number).sum()))
    assert {split: sum(rows) for split, rows in sizes.items()} == {
        "train": 50, "unlabelled": 60, "validation": 20, "test": 40,
    }  # fmt: skip
    assert int((dealt.shard == LEFT_OUT).sum()) == 30
    for rows in sizes.values():
        assert len(rows) % data.streams == 0
        assert max(rows) - min(rows) <= 1
        assert max(rows) <= data.shard_rows


def test_dealing_depends_on_the_seed_alone() -> None:
    data = DataConfig()
    first, again, other = (deal(_index(100), data, seed).shard for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_empty_split_is_refused() -> None:
    with pytest.raises(InputError, match=r"none of its 10 rows is left for the test split"):
        deal(_index(10), DataConfig(test=0.0), seed=0)
