"""Rows that are gone through several times: at once where they are few, else shard by shard."""

import numpy as np
import pytest

from raykd.artifacts import RunDirectory
from raykd.bench.examples import write_examples
from raykd.data import portions
from raykd.data.portions import Portions
from raykd.data.reader import Reader


@pytest.mark.parametrize(("kept", "parts"), [(1 << 20, 1), (12 * 64, 4), (4 * 64, 12)])
def test_all_rows_come_again_and_again(
    run_directory: RunDirectory, kept: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "_KEPT_BYTES", kept)
    manifest = write_examples(run_directory, {"train": 40}, length=8, shards=4)
    reader = Reader(run_directory, manifest.of("train"), manifest.inputs)
    found = Portions(reader, manifest.classes)
    expected = np.concatenate([shard["inputs"] for shard in reader.all()])
    for _ in range(2):
        seen = list(found)
        assert len(seen) == parts
        np.testing.assert_array_equal(np.concatenate([part["inputs"] for part in seen]), expected)
    beside = found.without_inputs()
    assert "inputs" not in beside
    assert len(beside["label"]) == len(beside["example_id"]) == 40


def test_a_worker_may_have_no_shards(run_directory: RunDirectory) -> None:
    manifest = write_examples(run_directory, {"train": 40}, length=8, shards=4)
    assert list(Portions(Reader(run_directory, (), manifest.inputs), manifest.classes)) == []
