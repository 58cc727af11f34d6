"""Reading shards one ahead of whoever uses them."""

import numpy as np
import pytest

from raykd.artifacts import RunDirectory
from raykd.bench.examples import write_examples
from raykd.data.reader import Reader
from raykd.errors import InputError


@pytest.mark.parametrize("positions", [[], [2], [3, 0, 1]])
def test_shards_read_ahead_are_the_same_in_the_order_asked_for(
    run_directory: RunDirectory, positions: list[int]
) -> None:
    manifest = write_examples(run_directory, {"train": 40}, length=8, shards=4)
    reader = Reader(run_directory, manifest.of("train"), manifest.inputs)
    found = list(reader.ahead(positions))
    assert [position for position, _ in found] == positions
    for position, arrays in found:
        np.testing.assert_array_equal(arrays["inputs"], reader.read(position)["inputs"])


def test_a_shard_that_is_gone_is_told_when_its_turn_comes(run_directory: RunDirectory) -> None:
    manifest = write_examples(run_directory, {"train": 40}, length=8, shards=4)
    reader = Reader(run_directory, manifest.of("train"), manifest.inputs)
    run_directory.delete(f"examples/{reader.shards[1].name}")
    coming = reader.ahead([0, 1])
    assert next(coming)[0] == 0
    with pytest.raises(InputError, match=f"{reader.shards[1].name}: found nothing, expected the file"):
        next(coming)
