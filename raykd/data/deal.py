"""Which split and which shard each row of a source belongs to: decided from ids, labels and the seed alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.config import DataConfig
from raykd.data import groups
from raykd.data.shards import SPLITS
from raykd.data.stratify import held_out
from raykd.errors import InputError

LEFT_OUT = -1


@dataclass(frozen=True)
class Dealt:
    """The shard number of every row (or `LEFT_OUT`), and the place (split, index) of every shard."""

    example_id: NDArray[np.int64]  # ascending
    shard: NDArray[np.int32]
    places: tuple[tuple[str, int], ...]


def deal(index: dict[str, NDArray[Any]], data: DataConfig, seed: int) -> Dealt:
    """Deal rows to splits and shards, pseudo-randomly but the same way every time.

    Args: index: `example_id` ascending, `label`, and `split` where the source comes split, of equal lengths.
    Returns: every split's rows in equally full shards (to one row), their number a multiple of `data.streams`.
    Raises: InputError when a labelled split would be empty.
    """
    return deal_rows(index, split(index, data, seed), data)


def deal_rows(index: dict[str, NDArray[Any]], rows_of: dict[str, NDArray[np.int64]], data: DataConfig) -> Dealt:
    """Deal the rows of every split to its shards. Raises: InputError when a labelled split is empty."""
    shard = np.full(len(index["label"]), LEFT_OUT, np.int32)
    places: list[tuple[str, int]] = []
    for name in SPLITS:
        rows = rows_of[name]
        if not len(rows):
            if name != "unlabelled":
                raise InputError(
                    f"data.source {data.source}: none of its {len(shard)} rows is left for the {name} split; give "
                    "more rows or change data.validation, data.test or data.labelled"
                )
            continue
        rounds = -(-len(rows) // (data.shard_rows * data.streams))
        for number, piece in enumerate(np.array_split(rows, rounds * data.streams)):
            shard[piece] = len(places)
            places.append((name, number))
    return Dealt(index["example_id"], shard, tuple(places))


def split(index: dict[str, NDArray[Any]], data: DataConfig, seed: int) -> dict[str, NDArray[np.int64]]:
    """Positions of every split's rows in `index`, shuffled."""
    labels = index["label"]
    splits = index.get("split", np.full(len(labels), "train", object))
    shuffled = np.random.default_rng([seed, 0x5EED]).permutation(len(labels))
    rows_of = {name: shuffled[splits[shuffled] == name] for name in SPLITS}
    total = int(_known(labels[rows_of["train"]]).sum())
    for name, share in (("validation", data.validation), ("test", data.test)):
        if not len(rows_of[name]):
            known = _known(labels[rows_of["train"]])
            if "group" in index:
                taken = groups.held_out(rows_of["train"], index["group"], known, round(share * total))
            else:
                candidates = np.flatnonzero(known)
                taken = candidates[held_out(labels[rows_of["train"]][candidates], round(share * total), data.stratify)]
            rows_of[name], rows_of["train"] = rows_of["train"][taken], np.delete(rows_of["train"], taken)
    known = _known(labels[rows_of["train"]])
    labelled, unlabelled = rows_of["train"][known], rows_of["train"][~known]
    kept = len(labelled) if data.labelled is None else data.labelled
    rows_of["train"] = labelled[:kept]
    pool = np.concatenate([rows_of["unlabelled"], labelled[kept:], unlabelled])
    rows_of["unlabelled"] = pool[: data.unlabelled]
    return rows_of


def _known(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Rows to learn from and measure on: those with a label, or all where external teachers' scores stand in for it."""
    known: NDArray[np.bool_] = labels >= 0
    return known if known.any() else ~known
