"""`raykd bench all`: every benchmark, each in a process of its own, so that none finds what another has warmed up."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Command = tuple[str, ...]
"""Arguments of `raykd bench`."""


def commands(config: str, settings: Sequence[str], run: str | None, storage_path: str | None) -> list[Command]:
    """What is measured, shortest first.

    Args: config, settings: the job whose teacher `scoring` and `padding` take; run: a finished run for `predict`,
    which is left out without it.
    """
    job = (config, *(part for setting in settings for part in ("--set", setting)))
    where = () if storage_path is None else ("--storage-path", storage_path)
    predict = [("predict", run, *where)] if run is not None else []
    return [
        *predict,
        ("launch",),
        ("store",),
        ("arithmetic",),
        ("feed",),
        ("scaling",),
        ("scoring", *job),
        ("padding", *job),
        ("distill",),
    ]


def measure_all(chosen: Sequence[Command], json_file: Path, show: Callable[[Command], None]) -> list[Command]:
    """Run one after the other; each adds its figures to the file. Returns: those that failed.

    Args: show: gets each command before it starts.
    """
    failed = []
    for command in chosen:
        show(command)
        code = "from raykd.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code, "bench", *command, "--json", str(json_file)])
        if done.returncode:
            failed.append(command)
    return failed
