"""The store: rows stand where they were put, places are used again, results in use are never overwritten."""

import numpy as np

from raykd.data.store import PADDING_ROW, Buffers, Store


def _shard(first: int, rows: int) -> dict[str, np.ndarray]:
    ids = np.arange(first, first + rows, dtype=np.int32)
    return {"label": ids, "inputs": np.stack([ids, -ids], axis=1)}


def test_rows_stand_where_they_were_put_and_row_0_is_padding() -> None:
    store = Store(place_rows=4, places=1)
    firsts = [store.add(_shard(10 * shard, 4 - shard)) for shard in range(3)]
    found = store.gather(np.array([[PADDING_ROW, firsts[2] + 1], [firsts[0] + 3, firsts[1]]]))
    np.testing.assert_array_equal(found["label"], [[-1, 21], [3, 10]])
    np.testing.assert_array_equal(found["weight"], [[0, 1], [1, 1]])
    np.testing.assert_array_equal(found["inputs"], [[[0, 0], [21, -21]], [[3, -3], [10, -10]]])


def test_a_dropped_place_is_used_again() -> None:
    store = Store(place_rows=2, places=1)
    places = [store.add(_shard(0, 2)), store.add(_shard(2, 2))]
    store.drop(places[0])
    assert store.add(_shard(4, 1)) == places[0]
    np.testing.assert_array_equal(store.gather(np.array([places[0], places[1]]))["label"], [4, 2])


def test_memory_is_used_again_only_when_nothing_refers_to_it() -> None:
    buffers, source = Buffers(), np.arange(100)
    first = buffers.take(source, np.array([1, 2]))
    part = first[1:]
    del first
    second = buffers.take(source, np.array([3, 4]))
    np.testing.assert_array_equal(part, [2])
    address = second.ctypes.data
    del second
    assert buffers.take(source, np.array([5, 6])).ctypes.data == address
    np.testing.assert_array_equal(part, [2])
