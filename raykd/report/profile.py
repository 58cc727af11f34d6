"""Where the time of a run's trainings went: `profile/time.html`, and the same for the terminal."""

import io
from typing import Any

from rich.console import Console, Group
from rich.table import Table

from raykd.artifacts import PROFILE, RunDirectory

_PAGE = f"{PROFILE}/time.html"
_WIDTH = 150  # columns of the page
_OPERATIONS = 6  # of each training


def write_profile(run: RunDirectory) -> Group:
    """Write the page from what the trainings have found. Returns: what it shows."""
    found = [run.read_json(f"{PROFILE}/{name}") for name in run.names(PROFILE, ".json")]
    shown = Group(_times(found), "", _operations(found))
    page = Console(record=True, width=_WIDTH, file=io.StringIO())
    page.print(shown)
    run.write_bytes(_PAGE, page.export_html(inline_styles=True).encode())
    return Group(shown, "", f"profile: {run.path(_PAGE)}; traces: tensorboard --logdir {run.path(PROFILE)}")


def _times(found: list[dict[str, Any]]) -> Table:
    """Seconds of each training, by activity."""
    total: dict[str, float] = {}
    for one in found:
        for name, spent in one["seconds"].items():
            total[name] = total.get(name, 0.0) + spent
    table = _table("where the time of trainings went, seconds", "training", *total, "together")
    for one in found:
        seconds = one["seconds"]
        spent = [f"{seconds.get(name, 0.0):.2f}" for name in total]
        table.add_row(one["training"], *spent, f"{sum(seconds.values()):.2f}")
    whole = sum(total.values())
    table.add_row("share", *(f"{spent / whole:.1%}" for spent in total.values()), "", style="bold")
    return table


def _operations(found: list[dict[str, Any]]) -> Table:
    """The longest operations of each training's traced steps."""
    title = "operations that computed longest, milliseconds a step, summed over threads"
    table = _table(title, "training", "operation", "a step", "times a step")
    for one in found:
        for operation in one["operations"][:_OPERATIONS]:
            steps = one["traced_steps"]
            each = f"{1000 * operation['seconds'] / steps:.3f}", f"{operation['count'] / steps:.1f}"
            table.add_row(one["training"], operation["operation"], *each)
        if not one["operations"]:
            table.add_row(one["training"], "none traced: all its steps were in one call", "", "")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, header_style="dim", title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if name in ("training", "operation") else "right")
    return table
