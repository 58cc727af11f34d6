"""Example shards: their places, their manifest, and reading one into arrays."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raykd.artifacts import EXAMPLES, RunDirectory, fingerprint
from raykd.data.encoding import InputSpec

SPLITS = ("train", "unlabelled", "validation", "test")
SCORED_SPLITS = ("train", "unlabelled", "validation")  # by teachers: to learn from, and to weigh them

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Shard:
    """One Parquet file of examples; `ids` is the SHA-256 of its example ids in row order."""

    split: str
    index: int
    rows: int
    ids: str

    @property
    def name(self) -> str:
        """Path within the examples, and within any folder aligned with them."""
        return f"{self.split}/part-{self.index:05d}.parquet"


@dataclass(frozen=True)
class Manifest:
    """What the example shards hold.

    Args:
        external: name of each external teacher and the splits whose rows it has scored, all of them.
        scored_only: those of the splits train and validation in which external teachers' scores stand in for
            labels: train without any label, validation with a row without one.
        class_names: in the order of the classes; empty where labels are numbers alone.
        truncated: splits with rows that were longer than the inputs, and how many were cut.
    """

    classes: int
    inputs: InputSpec
    shards: tuple[Shard, ...]
    external: tuple[tuple[str, tuple[str, ...]], ...] = ()
    scored_only: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    truncated: tuple[tuple[str, int], ...] = ()

    @property
    def fingerprint(self) -> str:
        """Changes with any row, its place or its encoding."""
        values = asdict(self)
        values.pop("truncated")  # It follows from the rest.
        # What is as in every manifest made before there was anything else doesn't count: they stay valid.
        if not self.class_names:
            values.pop("class_names")
        own = {name: vars(InputSpec)[name] for name in ("channels", "pad_id", "unk_id", "cls_id", "sep_id")}
        values["inputs"] = {name: value for name, value in values["inputs"].items() if own.get(name) != value}
        return fingerprint(values)

    def of(self, *splits: str) -> tuple[Shard, ...]:
        """The shards of these splits, in order."""
        return tuple(shard for split in splits for shard in self.shards if shard.split == split)

    def rows(self, *splits: str) -> int:
        """Rows in these splits."""
        return sum(shard.rows for shard in self.of(*splits))

    def external_with(self, split: str) -> tuple[str, ...]:
        """Names of the external teachers that have scored this split."""
        return tuple(name for name, splits in self.external if split in splits)

    def save(self, run: RunDirectory) -> None:
        """Publish beside the shards."""
        run.write_json(f"{EXAMPLES}/manifest.json", {"fingerprint": self.fingerprint, **asdict(self)})


def read_manifest(run: RunDirectory) -> Manifest:
    """The manifest of the run's examples. Raises: FileNotFoundError before ingestion, InputError for a damaged one."""
    path = f"{EXAMPLES}/manifest.json"
    values = run.read_json(path)
    try:
        return _manifest(values)
    except (KeyError, TypeError, ValueError) as error:
        raise run.damaged(path, f"no manifest ({type(error).__name__}: {error})") from error


def _manifest(values: dict[str, Any]) -> Manifest:
    shards = tuple(Shard(**shard) for shard in values["shards"])
    external = tuple((name, tuple(splits)) for name, splits in values["external"])
    truncated = tuple((split, rows) for split, rows in values.get("truncated", ()))
    return Manifest(
        values["classes"],
        InputSpec(**values["inputs"]),
        shards,
        external,
        tuple(values["scored_only"]),
        tuple(values.get("class_names", ())),
        truncated,
    )


def hash_ids(ids: NDArray[np.int64]) -> str:
    """SHA-256 of example ids in order."""
    return hashlib.sha256(np.ascontiguousarray(ids, np.int64).tobytes()).hexdigest()


def write_table(run: RunDirectory, path: str, columns: Mapping[str, Any], *, repeats: bool = True) -> None:
    """Publish columns as one zstd-compressed Parquet file, at once.

    Args: repeats: whether values come again and again, as tokens do and logits don't: a dictionary of them pays.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink, compression="zstd", use_dictionary=repeats)
    run.write_bytes(path, sink.getvalue())


def read_table(run: RunDirectory, path: str) -> pa.Table:
    """A Parquet file of the run. Raises: InputError for one that is missing or damaged."""
    try:
        return pq.read_table(pa.BufferReader(run.read_bytes(path)))
    except FileNotFoundError as error:
        raise run.damaged(path, "nothing") from error
    except pa.ArrowException as error:
        raise run.damaged(path, f"no complete Parquet file ({str(error).splitlines()[0]})") from error


def read_shard(run: RunDirectory, shard: Shard) -> pa.Table:
    """A shard's rows: `example_id`, `label`, `inputs`.

    Raises: InputError when the file's ids are not those that the manifest names.
    """
    path = f"{EXAMPLES}/{shard.name}"
    table = read_table(run, path)
    if hash_ids(table["example_id"].to_numpy()) != shard.ids:
        raise run.damaged(path, "ids other than those of the manifest")
    return table


def unwritten(run: RunDirectory, folder: str, shards: Sequence[Shard]) -> list[int]:
    """Positions of the shards that have no file in a folder aligned with the examples."""
    # One look at each folder: on an object store a look at every file takes minutes where there are thousands.
    splits = {shard.split for shard in shards}
    there = {f"{split}/{name}" for split in splits for name in run.names(f"{folder}/{split}", ".parquet")}
    return [position for position, shard in enumerate(shards) if shard.name not in there]


def read_aligned(run: RunDirectory, folder: str, shard: Shard) -> pa.Table:
    """The file beside a shard in a folder aligned with the examples.

    Raises: InputError for one that is missing or damaged, or holds other ids.
    """
    path = f"{folder}/{shard.name}"
    table = read_table(run, path)
    found = hash_ids(table["example_id"].to_numpy())
    if found != shard.ids:
        raise run.damaged(path, f"rows of ids {found[:12]} in place of the examples' {shard.ids[:12]}")
    return table


def unpack(table: pa.Table, inputs: InputSpec) -> Arrays:
    """Rows as arrays: `label` int32 [rows], `lengths` int32 [rows] and `inputs` [rows, length], padded at the end.

    Also `group` int64 [rows] where the shard has groups: of the test split, where `data.columns.group` is set.
    """
    values = table["inputs"].combine_chunks()
    if inputs.kind == "tokens":
        padded, lengths = _padded(values, inputs.length, inputs.pad_id)
    else:
        padded = values.flatten().to_numpy().reshape(len(table), inputs.length)
        lengths = np.full(len(table), inputs.length, np.int32)
    grouped = {"group": table["group"].to_numpy()} if "group" in table.column_names else {}
    return {"label": table["label"].to_numpy(), "lengths": lengths, "inputs": padded, **grouped}


def _padded(lists: pa.ListArray, length: int, pad: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int32)
    if len(lengths) and lengths.min() == length:  # Nothing to pad, nothing to copy.
        return lists.flatten().to_numpy().reshape(len(lists), length), lengths
    padded = np.full((len(lists), length), pad, np.int32)
    padded[np.arange(length) < lengths[:, None]] = lists.flatten().to_numpy()
    return padded, lengths
