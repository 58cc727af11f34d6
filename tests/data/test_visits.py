"""Visits: the first portion is what the first batch needs, and rows come in order whatever the portions and tasks."""

import numpy as np
import pytest

from raykd.artifacts import RunDirectory
from raykd.bench.examples import write_examples
from raykd.data import visits
from raykd.data.reader import Reader
from raykd.data.visits import portions, read_visits


@pytest.mark.parametrize(
    ("sizes", "bounds"),
    [
        ([1] * 12, [0, 2, 7, 12]),  # 2 things, then 5 in size
        ([9, 9, 9], [0, 2, 3]),  # One thing may be larger.
        ([1, 1, 3, 9, 1], [0, 2, 3, 4, 5]),
        ([3], [0, 1]),
        ([3, 3], [0, 2]),
    ],
)
def test_portions_hold_the_first_turn_then_no_more_than_the_largest(sizes: list[int], bounds: list[int]) -> None:
    assert portions(sizes, first=2, largest=5) == bounds


@pytest.mark.parametrize("tasks", [1, 2])
def test_rows_come_in_the_order_of_the_visits(
    tasks: int, local_ray: None, run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_examples(run_directory, {"train": 90}, length=8, shards=9)
    reader = Reader(run_directory, manifest.of("train"), manifest.inputs)
    monkeypatch.setattr(visits, "_LARGEST_BYTES", 2 * 10 * 40)  # two shards at a time after the first three
    wanted = [(epoch, position) for epoch in (0, 1) for position in (4, 2, 8, 0, 1)]
    found = list(read_visits(reader, wanted, row_bytes=40, tasks=tasks, turn=3))
    assert [visit for visit, _ in found] == wanted
    for (_, position), arrays in found:
        np.testing.assert_array_equal(arrays["inputs"], reader.read(position)["inputs"])


def test_an_error_in_a_task_reaches_the_reader(local_ray: None, run_directory: RunDirectory) -> None:
    manifest = write_examples(run_directory, {"train": 20}, length=8, shards=2)
    reader = Reader(run_directory, manifest.of("train"), manifest.inputs, logits=("logits/none",))
    with pytest.raises(Exception, match="logits/none"):
        list(read_visits(reader, [(0, 0), (0, 1)], row_bytes=40, tasks=1, turn=2))
