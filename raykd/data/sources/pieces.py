"""What the readers of all formats share: the piece of a source that a task reads, and the rows that it yields."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykd.config import DataConfig
from raykd.errors import InputError

IDS_PER_FILE = 1 << 40
"""Apart of the first ids of files whose rows can't be counted without reading them."""


@dataclass(frozen=True)
class Piece:
    """What one task reads.

    Args:
        files: paths on the source's filesystem: one, or some images.
        split: "" where the source has none.
        number: of the piece within the source.
        part: row group of a Parquet file.
        first_row: of the file, that the piece begins with.
        first_id: id of that row.
        labels: names of the images' classes.
    """

    files: tuple[str, ...]
    split: str
    number: int
    part: int = 0
    first_row: int = 0
    first_id: int = 0
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unread:
    """A row that can't be put into a table: its number in the file, why, and what stands there."""

    row: int
    reason: str
    text: str = ""


@dataclass(frozen=True)
class Chunk:
    """Rows that are in memory at a time.

    Args: table: columns as the file names them; rows: the rows' numbers in the file, ascending.
    """

    table: pa.Table
    rows: NDArray[np.int64]
    unread: Sequence[Unread] = field(default=())


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts, in one of Arrow's layouts."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def inputs_of(data: DataConfig) -> list[str]:
    """The columns that a model's inputs come from. Raises: InputError when the configuration doesn't tell."""
    columns = data.columns
    given = {"text": columns.text, "features": columns.features, "image": columns.image}
    [*names] = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise InputError(
            f"data.columns: found {' and '.join(names) or 'no inputs'}, expected either text (one or two columns), "
            "features or image; set one of them"
        )
    if columns.text is not None and len(columns.text) not in (1, 2):
        raise InputError(f"data.columns.text: found {columns.text}, expected one column, or two for pairs")
    value = given[names[0]]
    return list(value) if isinstance(value, list) else [str(value)]


def wanted_of(data: DataConfig) -> list[str]:
    """All columns that may be read, each once."""
    columns = data.columns
    scores = [score.column for score in columns.external.values()]
    own = [name for name in (columns.id, columns.group) if name is not None]
    return list(dict.fromkeys([*inputs_of(data), columns.label, *own, *scores]))


def check_columns(file: str, split: str, found: Sequence[str], data: DataConfig, labelled: bool = True) -> None:
    """See that a file has the columns that it needs.

    Args: labelled: whether rows need a label at all. Raises: InputError naming the first one that is missing.
    """
    scores = [score.column for score in data.columns.external.values()]
    needed = inputs_of(data) + ([] if data.columns.id is None else [data.columns.id])
    # What external teachers have scored needs no label, and rows to validate or test on need no score.
    if labelled and split != "unlabelled" and (not scores or split == "test"):
        needed.append(data.columns.label)
    if labelled and split not in ("validation", "test"):
        needed.extend(scores)
    if labelled and data.columns.group is not None and split not in ("train", "unlabelled", "validation"):
        needed.append(data.columns.group)
    for column in needed:
        if column not in found:
            raise InputError(
                f"{file}: column {column} is missing; found {', '.join(found)}; name the right ones under data.columns"
            )
