"""Re-paired pairs: a source's queries with other passages of its own, as more rows for teachers to score.

Reader: ingestion, for stage 1's pool. Half of the new pairs are hard: the passage shares rare words with the query.
Rows fall into pools by their query, so that every pair of a query is known in one place, and a pool fits in memory.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray.data
from numpy.typing import NDArray

from raykd.errors import InputError

POOL_ROWS = 20_000  # about; queries and passages of other pools are not paired
HARD_SHARE = 0.5
_WORDS = r"(?u)\b\w+\b"
_QUERIES_AT_ONCE = 128  # whose similarity to all passages of the pool is held at once: 10 MB
_LISTED = 1 << 22  # possible pairs that are listed and shuffled; of more, some are drawn

Codes = NDArray[np.int64]
"""A pair as query number * number of passages + passage number."""


def first_id(columns: list[str], ids: NDArray[np.int64], count: int) -> int:
    """Id of the first new pair: the one after the source's.

    Args: columns, ids: of the source, ids ascending. Raises: InputError when its rows are no pairs, or no ids are left.
    """
    if "text_1" not in columns:
        raise InputError(f"data.repaired: found {count}, expected 0 with rows that are no pairs; give two columns.text")
    if int(ids[-1]) + count >= np.iinfo(np.int64).max:
        raise InputError(f"example_id {ids[-1]}: leaves no room for data.repaired: {count} ids behind it; leave it out")
    return int(ids[-1]) + 1


def pools_for(rows: int) -> int:
    """Pools that a source of so many rows falls into."""
    return -(-rows // POOL_ROWS)


def pool_of_rows(raw: ray.data.Dataset, ids: NDArray[np.int64], pools: int) -> NDArray[np.int32]:
    """Pool of each row of a source (`example_id`, `text_0`), int32 in the order of the ids."""
    pool = np.zeros(len(ids), np.int32)
    if pools > 1:
        numbered = raw.select_columns(["example_id", "text_0"]).map_batches(_Pools(pools), batch_format="pyarrow")
        for batch in numbered.iter_batches(batch_size=None, batch_format="numpy"):
            pool[np.searchsorted(ids, batch["example_id"])] = batch["pool"]
    return pool


class _Pools:
    """`example_id` and `pool` of rows."""

    def __init__(self, pools: int) -> None:
        self._pools = pools

    def __call__(self, batch: pa.Table) -> pa.Table:
        pools = [_hash(query) % self._pools for query in batch["text_0"].to_pylist()]
        return pa.table({"example_id": batch["example_id"], "pool": pa.array(pools, pa.int32())})


def _hash(query: str) -> int:
    """64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(query.encode(), digest_size=8).digest(), "big")


def shares_of(usable_by_pool: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """New pairs of each pool, in proportion to its usable rows and `count` in all."""
    reached = np.cumsum(usable_by_pool)
    upto = reached * count // max(1, int(reached[-1]))
    return np.diff(upto, prepend=0)


@dataclass(frozen=True)
class Repairer:
    """Makes the new pairs of one pool.

    Args: usable: ids of the rows, ascending, whose texts may be used; counts: new pairs by pool; first_id: of pool 0's.
    """

    usable: NDArray[np.int64]
    counts: NDArray[np.int64]
    first_id: int
    seed: int

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of one pool (column `shard`), in any order. Returns: `example_id`, `label` (-1), `text_0`, `text_1`."""
        pool = rows["shard"][0].as_py() if len(rows) else 0
        rows = rows.take(pc.sort_indices(rows["example_id"]))
        usable_B = np.isin(rows["example_id"].to_numpy(), self.usable, assume_unique=True)
        count = int(self.counts[pool]) if len(rows) else 0
        made = re_pair(rows, usable_B, count, [self.seed, 0x9A12, pool])
        first = self.first_id + int(self.counts[:pool].sum())
        ids = np.arange(first, first + len(made), dtype=np.int64)
        labels = np.full(len(made), -1, np.int32)
        return pa.table({"example_id": ids, "label": labels, "text_0": made["text_0"], "text_1": made["text_1"]})


def re_pair(rows: pa.Table, usable_B: NDArray[np.bool_], count: int, seed: list[int]) -> pa.Table:
    """New pairs of the usable rows' queries and passages, none of which stands in any row.

    Args: rows: `text_0` (queries) and `text_1` (passages) in a fixed order.
    Returns: `text_0`, `text_1` of `count` different pairs, fewer where there are not so many: up to half of them
    hard (the nearest by TF-IDF that share a word), the others drawn at random.
    """
    rng = np.random.default_rng(seed)
    (query_B, queries), (passage_B, passages) = (_numbered(rows[name]) for name in ("text_0", "text_1"))
    width = len(passages)
    known = np.unique(query_B * width + passage_B)
    own_queries, own_passages = np.unique(query_B[usable_B]), np.unique(passage_B[usable_B])
    hard = _hard(queries, passages, rng.permutation(own_queries), own_passages, known, round(HARD_SHARE * count))
    left = _possible(own_queries, own_passages, width, count + len(known), rng)
    left = left[~np.isin(left, np.concatenate([known, hard]))]
    made = np.concatenate([hard, left[: count - len(hard)]])
    return pa.table({"text_0": queries.take(pa.array(made // width)), "text_1": passages.take(pa.array(made % width))})


def _numbered(texts: pa.ChunkedArray) -> tuple[Codes, pa.Array]:
    """Every row's number in the list of different texts, and that list in the order of first use."""
    coded = texts.combine_chunks().dictionary_encode()
    return coded.indices.to_numpy().astype(np.int64), coded.dictionary


def _possible(queries: Codes, passages: Codes, width: int, needed: int, rng: np.random.Generator) -> Codes:
    """Different pairs in random order: all there are, or twice as many as are needed."""
    total = len(queries) * len(passages)
    if total <= max(_LISTED, 4 * needed):
        drawn = rng.permutation(total)
    else:
        drawn = rng.integers(total, size=2 * needed)
        drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
    return queries[drawn // len(passages)] * width + passages[drawn % len(passages)] if total else drawn


def _hard(queries: pa.Array, passages: pa.Array, chosen: Codes, offered: Codes, known: Codes, count: int) -> Codes:
    """Up to `count` pairs, equally many of each chosen query: its nearest passages, known pairs left out."""
    if not count or not len(chosen):
        return np.zeros(0, np.int64)
    # Slow to load: not for every process that ingests.
    from scipy import sparse
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    width, each = len(passages), -(-count // len(chosen))
    words = HashingVectorizer(token_pattern=_WORDS, norm=None, alternate_sign=False, dtype=np.float32)
    weigh = TfidfTransformer(sublinear_tf=True)
    passages_PV = weigh.fit_transform(words.transform(passages.take(pa.array(offered)).to_pylist()))
    is_known_QP = sparse.csr_array(
        (np.ones(len(known), np.float32), (known // width, known % width)), shape=(len(queries), width)
    )
    found: list[Codes] = []
    for start in range(0, min(len(chosen), -(-count // each)), _QUERIES_AT_ONCE):
        some = chosen[start : start + _QUERIES_AT_ONCE]
        queries_SV = weigh.transform(words.transform(queries.take(pa.array(some)).to_pylist()))
        scores_SP = (queries_SV @ passages_PV.T).toarray()
        scores_SP[is_known_QP[some][:, offered].toarray() > 0] = 0.0
        found.extend(
            query * width + offered[_nearest(scores_P, each)] for query, scores_P in zip(some, scores_SP, strict=True)
        )
    return np.concatenate(found)[:count]


def _nearest(scores_P: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the largest scores above 0, the first of equals."""
    places = np.flatnonzero(scores_P > 0)
    if len(places) > count:
        least = np.partition(scores_P[places], -count)[-count]
        places = places[scores_P[places] >= least]
    nearest: NDArray[np.int64] = places[np.argsort(-scores_P[places], kind="stable")][:count]
    return nearest
