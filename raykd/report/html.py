"""The report page."""

from typing import Any

from raykd.artifacts import RunDirectory
from raykd.config import Config


def write_report(config: Config, run: RunDirectory, evaluation: dict[str, Any]) -> None:
    """Publish `report.html`."""
    run.write_bytes("report.html", b"<html></html>")
