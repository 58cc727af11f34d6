"""The feed through Ray Data: every row once, the same batches for any number of workers, resumable anywhere."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raykd.artifacts import EXAMPLES, RunDirectory, logits_folder
from raykd.data.encoding import InputSpec
from raykd.data.feed import Feed
from raykd.data.order import Order
from raykd.data.reader import Reader
from raykd.data.shards import Shard, hash_ids, write_table
from raykd.errors import InputError

STREAMS, BATCH = 4, 16
TOKENS = InputSpec("tokens", length=12, dtype="int32", vocabulary=500, bucket=4)


@pytest.fixture
def reader(run_directory: RunDirectory) -> Reader:
    """Eight uneven shards of 101 rows whose ids are their first token, and one teacher's logits."""
    rng = np.random.default_rng(0)
    shards = []
    for index, ids in enumerate(np.array_split(np.arange(100, 201), 8)):
        rows = [np.array([row, *rng.integers(4, 90, rng.integers(1, 11))], np.int32) for row in ids]
        shard = Shard("train", index, len(ids), hash_ids(ids))
        labels = (ids % 2).astype(np.int32)
        write_table(run_directory, f"{EXAMPLES}/{shard.name}", {"example_id": ids, "label": labels, "inputs": rows})
        logits = np.stack([ids, -ids], axis=1).astype(np.float16)
        write_table(run_directory, f"{logits_folder('a')}/{shard.name}", {"example_id": ids, "logits": list(logits)})
        shards.append(shard)
    return Reader(run_directory, tuple(shards), TOKENS, (logits_folder("a"),))


def _feed(reader: Reader, *, cached: bool = True, rank: int = 0, workers: int = 1, tasks: int = 1) -> Feed:
    order = Order(reader.shards, STREAMS, BATCH, seed=3)
    return Feed(reader, order, row_bytes=64, cached=cached, tasks=tasks, rank=rank, workers=workers)


def _take(feed: Feed, start: int, stop: int) -> list[dict[str, Any]]:
    windows = feed.windows(start, stop)
    batches = [
        {name: values[batch] for name, values in window.items()}
        for window in windows
        for batch in range(len(window["width"]))
    ]
    return [{**batch, "inputs": batch["inputs"][:, : batch["width"]]} for batch in batches]


@pytest.mark.parametrize("shards", [8, 6, 3])  # of 4 streams: as many for each, more for some, none for one
@pytest.mark.parametrize("cached", [True, False])
def test_every_row_once_per_epoch_beside_its_label_and_logits(
    local_ray: None, reader: Reader, cached: bool, shards: int
) -> None:
    reader = replace(reader, shards=reader.shards[:shards])
    steps = Order(reader.shards, STREAMS, BATCH, seed=3).steps_per_epoch
    batches = _take(_feed(reader, cached=cached), 0, 2 * steps)
    for epoch in (batches[:steps], batches[steps:]):
        rows = {name: np.concatenate([batch[name] for batch in epoch]) for name in ("label", "weight")}
        ids = np.concatenate([batch["inputs"][:, 0] for batch in epoch])
        logits = np.concatenate([batch["teacher_logits"] for batch in epoch])
        real = rows["weight"] == 1.0
        assert sorted(ids[real]) == list(range(100, 100 + sum(shard.rows for shard in reader.shards)))
        np.testing.assert_array_equal(rows["label"][real], ids[real] % 2)
        np.testing.assert_array_equal(logits[real, 0, 0], ids[real])
        assert set(rows["label"][~real]) <= {-1}
    first, second = ([batch["inputs"][:, 0].tolist() for batch in part] for part in (batches[:steps], batches[steps:]))
    assert first != second


def test_widths_are_multiples_of_the_bucket(local_ray: None, reader: Reader) -> None:
    assert {batch["inputs"].shape[1] for batch in _take(_feed(reader), 0, 7)} <= {4, 8, 12}


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_same_global_batches(local_ray: None, reader: Reader, workers: int) -> None:
    whole = _take(_feed(reader), 0, 9)
    parts = [_take(_feed(reader, rank=rank, workers=workers), 0, 9) for rank in range(workers)]
    for step, batch in enumerate(whole):
        # Stream s is served by worker s % workers, and stands at row s * size of the whole batch.
        size = BATCH // STREAMS
        for stream in range(STREAMS):
            own = parts[stream % workers][step]
            place = stream // workers
            np.testing.assert_array_equal(
                own["inputs"][place * size : (place + 1) * size, 0],
                batch["inputs"][stream * size : (stream + 1) * size, 0],
            )


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("start", [1, 6, 8, 11])
def test_starting_anywhere_gives_the_same_batches(local_ray: None, reader: Reader, cached: bool, start: int) -> None:
    whole, rest = _take(_feed(reader), 0, 13), _take(_feed(reader, cached=cached), start, 13)
    assert len(rest) == 13 - start
    for expected, found in zip(whole[start:], rest, strict=True):
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("tasks", [0, 2])
def test_batches_are_the_same_whoever_reads(local_ray: None, reader: Reader, cached: bool, tasks: int) -> None:
    expected = _take(_feed(reader), 0, 13)
    for batch, found in zip(expected, _take(_feed(reader, cached=cached, tasks=tasks), 0, 13), strict=True):
        for name in batch:
            np.testing.assert_array_equal(found[name], batch[name])


def test_logits_of_other_rows_are_refused(reader: Reader, run_directory: RunDirectory) -> None:
    shard = reader.shards[2]
    path = f"{logits_folder('a')}/{shard.name}"
    others = np.arange(shard.rows)
    write_table(run_directory, path, {"example_id": others, "logits": [[0.0, 0.0]] * shard.rows})
    with pytest.raises(InputError, match=rf"part-00002.*{hash_ids(others)[:12]}.*{shard.ids[:12]}"):
        reader.read(2)
