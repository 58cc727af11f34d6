"""The numbers behind a figure or a table, as a CSV file beside the page and as a download within it."""

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FOLDER = "report"
"""Of the sheets of a run's page, in its directory."""


@dataclass(frozen=True)
class Sheet:
    """A table of plain values.

    Args: name: of the file, without its ending; columns: their titles; rows: values in that order, None where unknown;
    folder: that it stands in, beside the page.
    """

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    folder: str = FOLDER

    @property
    def file(self) -> str:
        """Path relative to the page."""
        return f"{self.folder}/{self.name}.csv"

    def csv(self) -> str:
        """Its text, numbers in full precision, nothing where a value is unknown."""
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return written.getvalue()

    @property
    def link(self) -> str:
        """A data URI: the page carries the file along wherever it goes."""
        return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(self.csv().encode()).decode()}"
