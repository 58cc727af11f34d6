"""What a benchmark shows while it measures and at its end, and writes to a JSON file."""

import json
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def show_rate(unit: str, digits: int = 1) -> Callable[[str, float], None]:
    """A function that prints a case and its figure."""
    console = Console()
    return lambda case, rate: console.print(f"{case}: {rate:,.{digits}f} {unit}", highlight=False)


def conclude(medians: dict[str, float], unit: str, digits: int = 1) -> None:
    """Print medians as a table; a case with `over` in its name is a ratio."""
    table = Table(box=None, header_style="dim")
    table.add_column("case")
    table.add_column("median", justify="right")
    for case, value in medians.items():
        table.add_row(case, f"{value:.2f}" if " over " in case else f"{value:,.{digits}f} {unit}")
    Console().print(table)


def write(file: Path | None, name: str, figures: dict[str, Any]) -> None:
    """Add the figures, with what they were measured on, to a JSON file."""
    if file is None:
        return
    found = json.loads(file.read_text()) if file.exists() else {}
    found[name] = {"machine": _machine(), **figures}
    file.write_text(json.dumps(found, indent=1) + "\n")


def _machine() -> dict[str, Any]:
    import psutil

    versions = {package: metadata.version(package) for package in ("ray", "tensorflow", "keras")}
    return {"processor": platform.processor() or platform.machine(), "cpus": psutil.cpu_count(), **versions}
