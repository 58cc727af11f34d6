from itertools import pairwise

import numpy as np
import pytest

from raykd.data.order import PADDING, WINDOW_BATCHES, Order
from raykd.data.shards import Shard

EVEN = [40] * 8
UNEVEN = [1, 57, 0, 33, 8, 91, 16, 5, 40, 2]
FEWER_THAN_STREAMS = [9, 4]


def order_of(sizes, streams=4, batch_size=16, seed=0):
    shards = tuple(Shard("train", index, rows, ids="") for index, rows in enumerate(sizes))
    return Order(shards, streams, batch_size, seed)


def lengths_of(sizes):
    rng = np.random.default_rng(7)
    lengths = [rng.integers(4, 65, size).astype(np.int32) for size in sizes]
    return lengths.__getitem__


def parts(order, epoch, stream, lengths):
    """The stream's rows of each batch, padding left out."""
    return [part[part[:, 0] != PADDING] for window in order.windows(epoch, stream, lengths) for part in window]


def parts_of(order, sizes, epoch=0, stream=0):
    return [part.tolist() for part in parts(order, epoch, stream, lengths_of(sizes))]


def epoch_of(order, sizes, epoch=0):
    """Parts by stream, then step."""
    return [parts_of(order, sizes, epoch, stream) for stream in range(order.streams)]


@pytest.mark.parametrize(
    ("sizes", "streams", "batch_size", "expected"),
    [
        ([10, 10], 2, 10, 2),  # 10 rows a stream, 5 a batch
        ([11, 10], 2, 10, 3),  # the fullest stream has 11
        ([4, 4, 4], 2, 8, 2),  # stream 0 owns shards 0 and 2
        ([1], 4, 8, 1),
        ([4096] * 8, 8, 64, 512),
        (UNEVEN, 4, 16, 38),  # stream 1 is the fullest: 57 + 91 + 2 = 150 rows, 4 a batch
    ],
)
def test_steps_per_epoch(sizes, streams, batch_size, expected):
    assert order_of(sizes, streams, batch_size).steps_per_epoch == expected


@pytest.mark.parametrize("sizes", [EVEN, UNEVEN, FEWER_THAN_STREAMS, [700] * 4])
@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("streams", [1, 4])
def test_every_row_once_per_epoch_with_its_length(sizes, epoch, streams):
    parts = epoch_of(order_of(sizes, streams), sizes, epoch)
    seen = [tuple(row) for stream in parts for part in stream for row in part]
    lengths = lengths_of(sizes)
    assert sorted(seen) == [(s, r, int(lengths(s)[r])) for s in range(len(sizes)) for r in range(sizes[s])]


@pytest.mark.parametrize("sizes", [EVEN, UNEVEN, FEWER_THAN_STREAMS, [700] * 4])
def test_every_stream_gives_one_part_a_step_of_its_own_shards_and_no_more_than_its_share(sizes):
    order = order_of(sizes)
    for stream, parts in enumerate(epoch_of(order, sizes)):
        assert len(parts) == order.steps_per_epoch
        assert max(len(part) for part in parts) <= order.rows_per_stream == 4
        assert {row[0] % order.streams for part in parts for row in part} <= {stream}


@pytest.mark.parametrize("rows", [80, 83])
def test_with_equal_shards_only_the_last_part_is_short(rows):
    sizes = [rows] * 8
    for parts in epoch_of(order_of(sizes), sizes):
        assert [len(part) for part in parts[:-1]] == [4] * (len(parts) - 1)
        assert len(parts[-1]) == 2 * rows - 4 * (len(parts) - 1)


def test_visits_are_a_permutation_of_the_streams_own_shards():
    order = order_of([1] * 18)
    assert sorted(order.visits(0, 1)) == [1, 5, 9, 13, 17]
    assert sorted(order.visits(0, 3)) == [3, 7, 11, 15]
    assert len({tuple(order.visits(epoch, 1)) for epoch in range(10)}) > 1


def test_lengths_are_asked_for_once_per_visit_in_the_order_of_visits():
    order, asked = order_of(EVEN * 3), []
    lengths = lengths_of(EVEN * 3)
    list(order.windows(2, 1, lambda position: asked.append(position) or lengths(position)))
    assert asked == order.visits(2, 1)


def test_shards_are_read_no_earlier_than_their_window_needs():
    sizes = [64] * 16  # 4 rows a part: a window takes 64, one shard.
    order, asked = order_of(sizes), []
    lengths = lengths_of(sizes)
    windows = order.windows(0, 0, lambda position: asked.append(position) or lengths(position))
    for count, window in enumerate(windows, start=1):
        assert len(window) == WINDOW_BATCHES
        assert len(asked) == count


@pytest.mark.parametrize("sizes", [EVEN, UNEVEN])
def test_the_same_seed_and_epoch_give_the_same_order(sizes):
    assert epoch_of(order_of(sizes, seed=5), sizes, 2) == epoch_of(order_of(sizes, seed=5), sizes, 2)


@pytest.mark.parametrize(("seed", "epoch"), [(1, 0), (0, 1)])
def test_another_seed_or_epoch_gives_another_order(seed, epoch):
    first, other = epoch_of(order_of(EVEN), EVEN), epoch_of(order_of(EVEN, seed=seed), EVEN, epoch)
    assert all(first[stream] != other[stream] for stream in range(4))


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("sizes", [EVEN, UNEVEN])
def test_a_batch_is_the_same_whatever_the_number_of_workers(sizes, workers):
    parts_by_stream = enumerate(epoch_of(order_of(sizes), sizes, 1))
    expected = {(stream, step): part for stream, parts in parts_by_stream for step, part in enumerate(parts)}
    found = {}
    for rank in range(workers):  # Each worker has an order of its own and reads its streams in step.
        order, streams = order_of(sizes), range(rank, 4, workers)
        steps = zip(*(parts(order, 1, stream, lengths_of(sizes)) for stream in streams), strict=True)
        for step, own in enumerate(steps):
            found.update({(stream, step): part.tolist() for stream, part in zip(streams, own, strict=True)})
    assert found == expected


def test_rows_of_like_length_meet():
    # Within a window the parts' ranges of length touch at most: no row would fit another part better.
    sizes = [64] * 16
    for parts in epoch_of(order_of(sizes), sizes):
        for start in range(0, len(parts), WINDOW_BATCHES):
            window = [[row[2] for row in part] for part in parts[start : start + WINDOW_BATCHES]]
            ranges = sorted((min(lengths), max(lengths)) for lengths in window)
            assert all(low[1] <= high[0] for low, high in pairwise(ranges))


def test_streams_bring_rows_of_like_length_to_the_same_batch():
    sizes = [64] * 16
    # With equal lengths in every shard each batch must get rows of one rank from all streams.
    lengths = np.random.default_rng(0).permutation(64).astype(np.int32)
    streams = [parts(order_of(sizes), 0, stream, lambda _: lengths) for stream in range(4)]
    for batch in zip(*streams, strict=True):
        assert len({tuple(sorted(part[:, 2])) for part in batch}) == 1


def test_batches_do_not_come_sorted_by_length():
    sizes = [64] * 16
    longest = [max(row[2] for row in part) for part in parts_of(order_of(sizes), sizes)][:WINDOW_BATCHES]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))
