"""What `raykd bench distill` found, as a table and as plain values."""

import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from raykd.bench.distill import SCORING, Measured, Size, ratios, total

_WAYS = {
    "a": "a raykd, cached",
    "b": "b Distiller",
    "c": "c Keras, labels",
    "d": "d raykd, labels",
}


def figures(size: Size, measured: Measured, epochs: Sequence[int]) -> dict[str, Any]:
    """Seconds of every turn, start-up, Keras's settings, totals by way and epochs, and ratios by number of teachers."""
    names = [name for name in measured.seconds if not name.startswith(SCORING)]
    return {
        **vars(measured),
        "totals": {name: {str(count): total(measured, name, count) for count in epochs} for name in names},
        "ratios": {str(count): ratios(measured, count, epochs) for count in size.teachers},
    }


def show_table(case: str, size: Size, measured: Measured, epochs: Sequence[int]) -> None:
    """Print a table for every number of teachers, and the ratios below it."""
    console = Console()
    for teachers in size.teachers:
        title = f"{case}, {size.rows:,} rows, {teachers} teacher{'s' * (teachers > 1)}, seconds"
        table = Table(title=title, title_justify="left", box=None, header_style="dim")
        for column in ("", "start-up", "scoring", "epoch", "least - most", *(f"{count} epochs" for count in epochs)):
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        for way, label in _WAYS.items():
            table.add_row(label, *_row(measured, way, teachers, epochs))
        console.print(table)
        console.print(_settings(measured, teachers), style="dim", highlight=False)
        for name, value in ratios(measured, teachers, epochs).items():
            console.print(f"  {name}: {value:.2f}", highlight=False)
    console.print(
        "Medians of turns. A total is the scoring (a) and so many epochs; start-up is paid once in a process and is in "
        "no total (that of d, which comes before a, has the start of Ray Data in it).",
        style="dim",
    )


def _row(measured: Measured, way: str, teachers: int, epochs: Sequence[int]) -> list[str]:
    name, scoring = f"{way}/{teachers}" if way in "ab" else way, f"{SCORING}/{teachers}"
    start_up = measured.start_up[name] + (measured.start_up[scoring] if way == "a" else 0.0)
    values = measured.seconds[name]
    return [
        f"{start_up:.1f}",
        f"{measured.median(scoring):.2f}" if way == "a" else "",
        f"{statistics.median(values):.3f}",
        f"{min(values):.3f} - {max(values):.3f}",
        *(f"{total(measured, name, count):.2f}" for count in epochs),
    ]


def _settings(measured: Measured, teachers: int) -> str:
    chosen = {way: measured.settings[name] for way, name in (("b", f"b/{teachers}"), ("c", "c"))}
    return "; ".join(
        f"{way}: steps_per_execution={one['steps_per_execution']}, jit_compile={one['jit_compile']}"
        for way, one in chosen.items()
    )
