"""Ingestion: raw rows are split, dealt to shards, encoded and written by Ray Data tasks."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
import ray.data
from numpy.typing import NDArray
from tokenizers import Tokenizer

from raykd.artifacts import EXAMPLES, RunDirectory, external_folder
from raykd.config import BUILT_IN_SOURCES, DataConfig
from raykd.data import external, groups
from raykd.data.checks import Quarantine
from raykd.data.classes import count_classes
from raykd.data.deal import LEFT_OUT, Dealt, deal_rows, split
from raykd.data.encoding import InputSpec, encode_rows, train_tokenizer
from raykd.data.failures import one_line_errors
from raykd.data.presets import load_tokenizer, special_ids
from raykd.data.repair import Repairer, first_id, pool_of_rows, pools_for, shares_of
from raykd.data.shards import SPLITS, Manifest, Shard, hash_ids, write_table
from raykd.data.sources import read_source
from raykd.data.sources.labels import number_names
from raykd.data.sources.locate import twice
from raykd.errors import InputError

_BLOCKS_PER_TASK = 4  # A task of Ray Data's costs as much as the encoding of a small shard.
_IN_MEMORY_BYTES = 1 << 30  # Below this, sorting in one process beats starting Ray's shuffle workers.


def ingest(run: RunDirectory, data: DataConfig, seed: int, tasks: int) -> Manifest:
    """Write the examples of the configured source, with up to `tasks` Ray tasks at a time.

    A row's split and shard depend on the source and the seed alone, not on the number of tasks. The calling
    process holds each row's id, label and split (about 20 bytes; 4 more for each external teacher), never the rows,
    above 1 GiB of them.
    Bad rows go to the run's quarantine.
    Raises: InputError for bad input, and for more bad rows than are allowed.
    """
    with one_line_errors():
        return _ingest(run, data, seed, tasks)


def _ingest(run: RunDirectory, data: DataConfig, seed: int, tasks: int) -> Manifest:
    quarantine = Quarantine(run)
    quarantine.clear()
    raw = read_source(data, seed, tasks, quarantine).materialize()
    quarantine.settle(raw.count(), data.max_bad_fraction, data.source)
    raw, names = number_names(raw) if _type_of(raw, "label") == pa.string() else (raw, ())
    columns = raw.schema().names
    teachers = tuple(data.columns.external)
    index = _index(raw, columns, teachers, data)
    scores = {name: index.pop(external.logits_name(name)) for name in teachers}
    class_names = tuple(data.classes) if isinstance(data.classes, list) else names
    classes = count_classes(index, scores, class_names, data)
    if "group" in columns:
        groups.check_ranked(classes)
    rows_of = split(index, data, seed)
    external.check_rows(rows_of, index, scores, data.source)
    tokenizer = _tokenizer(raw, data, columns) if "text_0" in columns else None
    if data.repaired:
        raw, index = _with_repaired(raw, index, rows_of, data, seed, tasks)
        scores = {name: np.append(widths, np.zeros(data.repaired, widths.dtype)) for name, widths in scores.items()}
    dealt = deal_rows(index, rows_of, data)
    writer = _ShardWriter(run, dealt.places, None if tokenizer is None else tokenizer.to_str(), data, teachers)
    if raw.size_bytes() <= _IN_MEMORY_BYTES:
        sharded = _in_shards(raw, dealt, tasks, blocks=_BLOCKS_PER_TASK * tasks)
        written = sharded.map_batches(writer.all, batch_size=None, batch_format="pyarrow", concurrency=tasks)
    else:
        written = _in_shards(raw, dealt, tasks).groupby("shard").map_groups(writer.__call__, batch_format="pyarrow")
    rows = written.take_all()
    shards = [Shard(**{name: value for name, value in row.items() if name != "truncated"}) for row in rows]
    shards.sort(key=lambda shard: (SPLITS.index(shard.split), shard.index))
    if tokenizer is not None:
        run.write_bytes(f"{EXAMPLES}/tokenizer.json", tokenizer.to_str().encode())
        special = {} if data.tokenizer is None else special_ids(tokenizer, data.tokenizer)
        inputs = InputSpec("tokens", data.max_length, "int32", tokenizer.get_vocab_size(), data.bucket, **special)
    else:
        inputs = _feature_spec(raw, data)
    manifest = Manifest(
        classes,
        inputs,
        tuple(shards),
        external.scored_splits(rows_of, scores),
        external.scored_only(rows_of, index) if teachers else (),
        class_names,
        _truncated(rows),
    )
    manifest.save(run)
    return manifest


def _type_of(raw: ray.data.Dataset, column: str) -> pa.DataType:
    return raw.schema().base_schema.field(column).type


def _index(
    raw: ray.data.Dataset, columns: list[str], teachers: tuple[str, ...], data: DataConfig
) -> dict[str, NDArray[Any]]:
    """`example_id` ascending, `label`, `split`, `group` if there is one, and external teachers' counts of logits."""
    names = [str(name) for name in ("example_id", "label", "split", "group") if name in columns]
    chosen = raw.select_columns([*names, *map(external.logits_name, teachers)])
    if teachers:
        chosen = chosen.map_batches(external.Widths(teachers), batch_format="pyarrow")
        names += map(external.logits_name, teachers)
    batches = list(chosen.iter_batches(batch_size=None, batch_format="numpy"))
    index: dict[str, NDArray[Any]] = {name: np.concatenate([batch[name] for batch in batches]) for name in names}
    order = np.argsort(index["example_id"], kind="stable")
    index = {name: values[order] for name, values in index.items()}
    ids = index["example_id"]
    if (again := np.flatnonzero(ids[1:] == ids[:-1])).size:
        places = twice(data, int(ids[again[0]]))
        raise InputError(f"example_id {ids[again[0]]} stands in {places}; expected unique ids; drop one of the rows")
    return index


def _with_repaired(
    raw: ray.data.Dataset,
    index: dict[str, NDArray[Any]],
    rows_of: dict[str, NDArray[np.int64]],
    data: DataConfig,
    seed: int,
    tasks: int,
) -> tuple[ray.data.Dataset, dict[str, NDArray[Any]]]:
    """The source with new pairs of its training part behind its own rows, which join `rows_of["unlabelled"]`."""
    ids = index["example_id"]
    first = first_id(raw.schema().names, ids, data.repaired)
    pools = pools_for(len(ids))
    pool = pool_of_rows(raw, ids, pools)
    usable = np.sort(np.concatenate([rows_of["train"], rows_of["unlabelled"]]))
    counts = shares_of(np.bincount(pool[usable], minlength=pools), data.repaired)
    repairer = Repairer(ids[usable], counts, first, seed)
    pooled = _in_shards(raw, Dealt(ids, pool, tuple(("pool", number) for number in range(pools))), tasks)
    if raw.size_bytes() <= _IN_MEMORY_BYTES:
        made = pooled.map_batches(repairer, batch_size=None, batch_format="pyarrow", concurrency=tasks)
    else:
        made = pooled.groupby("shard").map_groups(repairer.__call__, batch_format="pyarrow")
    made = made.materialize()
    if (found := made.count()) < data.repaired:
        raise InputError(f"data.repaired: found {data.repaired}, expected at most {found} new pairs of this source")
    new = np.arange(len(ids), len(ids) + data.repaired)
    # Mixed: else whole shards would hold new pairs alone.
    pool_rows = np.concatenate([rows_of["unlabelled"], new])
    rows_of["unlabelled"] = np.random.default_rng([seed, 0x9A12]).permutation(pool_rows)
    index = {
        "example_id": np.concatenate([ids, first + np.arange(data.repaired)]),
        "label": np.concatenate([index["label"], np.full(data.repaired, -1, np.int32)]),
    }
    names = ["example_id", "label", "text_0", "text_1"]
    scores = [external.logits_name(teacher) for teacher in data.columns.external]
    made = made.select_columns(names).map_batches(external.Unscored(scores), batch_format="pyarrow")
    names += scores
    if "group" in raw.schema().names:
        names.append("group")
        made = made.map_batches(groups.with_unknown, batch_format="pyarrow")
    return raw.select_columns(names).union(made.select_columns(names)).materialize(), index


def _truncated(shards: list[dict[str, Any]]) -> tuple[tuple[str, int], ...]:
    """Rows cut, by split, from what the writer tells of its shards."""
    counts = Counter[str]()
    for shard in shards:
        counts[shard["split"]] += shard["truncated"]
    return tuple((split, counts[split]) for split in SPLITS if counts[split])


def _tokenizer(raw: ray.data.Dataset, data: DataConfig, columns: list[str]) -> Tokenizer:
    """A pretrained one, or one of the training part: neither validation nor test texts shape a source's own split."""
    if data.tokenizer is not None:
        return load_tokenizer(data.tokenizer)
    return train_tokenizer(_TrainingTexts(raw, columns), data.vocabulary, data.max_length)


class _TrainingTexts:
    """Texts of the training part, streamed anew by every iteration."""

    def __init__(self, raw: ray.data.Dataset, columns: list[str]) -> None:
        self._raw = raw
        self._names = [name for name in ("text_0", "text_1") if name in columns]
        self._split = "split" in columns

    def __iter__(self) -> Iterator[str]:
        for batch in self._raw.iter_batches(batch_size=None, batch_format="pyarrow"):
            if self._split:
                batch = batch.filter(pc.is_in(batch["split"], pa.array(["train", "unlabelled"])))
            for name in self._names:
                yield from batch[name].to_pylist()


def _in_shards(raw: ray.data.Dataset, dealt: Dealt, tasks: int, blocks: int | None = None) -> ray.data.Dataset:
    """Rows with their shard number; small sources come as one block per shard, or as so many of several each."""
    numbered = _ShardNumber(dealt.example_id, dealt.shard)
    if raw.size_bytes() > _IN_MEMORY_BYTES:
        return raw.map_batches(numbered, batch_format="pyarrow", concurrency=tasks)
    tables = [table for table in ray.get(raw.to_arrow_refs()) if table.num_rows]
    table = numbered(pa.concat_tables(tables, promote_options="permissive"))
    table = table.take(pc.sort_indices(table["shard"]))
    counts = np.bincount(table["shard"].to_numpy(), minlength=len(dealt.places))
    starts = np.cumsum(counts) - counts
    shards = [table.slice(start, rows) for start, rows in zip(starts, counts, strict=True)]
    apart = min(blocks or len(shards), len(shards))
    return ray.data.from_arrow([pa.concat_tables(shards[first::apart]) for first in range(apart)])


class _ShardNumber:
    """Adds the column `shard`."""

    def __init__(self, example_id: NDArray[np.int64], shard: NDArray[np.int32]) -> None:
        self._example_id = example_id
        self._shard = shard

    def __call__(self, batch: pa.Table) -> pa.Table:
        places = np.searchsorted(self._example_id, batch["example_id"].to_numpy())
        numbered = batch.append_column("shard", pa.array(self._shard[places]))
        return numbered.filter(pc.not_equal(numbered["shard"], LEFT_OUT))


class _ShardWriter:
    """Encodes and writes shards."""

    def __init__(
        self,
        run: RunDirectory,
        places: tuple[tuple[str, int], ...],
        tokenizer: str | None,
        data: DataConfig,
        teachers: tuple[str, ...] = (),
    ) -> None:
        self._run = run
        self._places = places
        self._tokenizer = tokenizer
        self._data = data
        self._teachers = teachers

    def all(self, rows: pa.Table) -> pa.Table:
        """Some whole shards."""
        numbers = pc.unique(rows["shard"])
        return pa.concat_tables(self(rows.filter(pc.equal(rows["shard"], number))) for number in numbers)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """One shard, its rows in any order."""
        rows = rows.take(pc.sort_indices(rows["example_id"]))
        split, index = self._places[rows["shard"][0].as_py()]
        ids = rows["example_id"].to_numpy()
        shard = Shard(split, index, len(ids), hash_ids(ids))
        labels = np.full(len(ids), -1, np.int32) if split == "unlabelled" else rows["label"].to_numpy()
        inputs, truncated = self._encode(rows)
        columns = {"example_id": ids, "label": labels, "inputs": inputs}
        if split == "test" and "group" in rows.column_names:
            columns["group"] = rows["group"]
        write_table(self._run, f"{EXAMPLES}/{shard.name}", columns)
        for teacher in self._teachers:
            if (logits := external.as_stored(rows[external.logits_name(teacher)])) is not None:
                stored = {"example_id": ids, **logits}
                write_table(self._run, f"{external_folder(teacher)}/{shard.name}", stored, repeats=False)
        told = {**vars(shard), "truncated": truncated}
        return pa.table({name: [value] for name, value in told.items()})

    def _encode(self, rows: pa.Table) -> tuple[pa.Array, int]:
        """The inputs, and how many rows were cut."""
        if self._tokenizer is None:
            return rows["features"], 0
        texts = [rows[name].to_pylist() for name in ("text_0", "text_1") if name in rows.column_names]
        tokenizer = Tokenizer.from_str(self._tokenizer)
        encoded, truncated = encode_rows(tokenizer, texts, self._data.truncation, self._data.max_length)
        offsets = np.cumsum([0, *(len(row) for row in encoded)])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(np.concatenate(encoded))), truncated


def _feature_spec(raw: ray.data.Dataset, data: DataConfig) -> InputSpec:
    kind = _type_of(raw, "features")
    dtype = str(kind.value_type).replace("float", "float32")
    images = data.columns.image is not None or (data.columns.features is None and data.source not in BUILT_IN_SOURCES)
    return InputSpec("features", kind.list_size, dtype, channels=data.image.channels if images else 1)
