"""Reads a source in this process, as its tasks would."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from raykd.artifacts import RunDirectory
from raykd.config import Columns, DataConfig
from raykd.data.checks import QUARANTINE, Quarantine
from raykd.data.shards import read_table
from raykd.data.sources import open_source

TEXT = Columns(text=["query"])


def data_of(source: Path | str, columns: Columns = TEXT, **settings: Any) -> DataConfig:
    return DataConfig(source=str(source), columns=columns, **settings)


def read(data: DataConfig, aside: Path, labelled: bool = True) -> list[dict[str, Any]]:
    """The good rows, in the order of their ids."""
    source = open_source(data, labelled)
    quarantine = Quarantine(RunDirectory.at(str(aside), "run"))
    tables = [table for piece in source.pieces for table in source.rows(piece, quarantine)]
    assert len({str(table.schema) for table in tables}) == 1
    rows: list[dict[str, Any]] = pa.concat_tables(tables).sort_by("example_id").to_pylist()
    return rows


def set_aside(aside: Path) -> list[tuple[int | None, str]]:
    """Row and reason of the bad rows."""
    run = RunDirectory.at(str(aside), "run")
    found = [read_table(run, f"{QUARANTINE}/{name}") for name in run.names(QUARANTINE, ".parquet")]
    rows = [row for table in found for row in table.select(["row", "reason"]).to_pylist()]
    return sorted((row["row"], row["reason"]) for row in rows)
