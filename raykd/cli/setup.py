"""Commands before the first run: init, doctor."""

from typing import Annotated

import typer
from rich.console import Console as Terminal
from rich.markup import escape

from raykd.cli.options import Address
from raykd.errors import InputError


def init(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="Where to write it.")] = "raykd.yaml",
) -> None:
    """Write a configuration to start from: every setting, its meaning and its default.

    Examples:

    - `raykd init mine.yaml`
    """
    from raykd.starter import starter

    try:
        with open(file, "x", encoding="utf-8") as opened:
            opened.write(starter(file))
    except FileExistsError as error:
        raise InputError(f"{file}: is there already; name another file or delete it") from error
    except OSError as error:
        raise InputError(f"{file}: can't be written ({error.strerror}); name another file") from error
    Terminal().print(f"{file}: set data.source and data.columns, then: raykd run {file}", highlight=False)


def doctor(
    storage_path: Annotated[
        str | None, typer.Option(help="Folder or URI that is to hold run directories; default: ~/raykd_results.")
    ] = None,
    address: Address = None,
) -> None:
    """Check packages, devices, memory, the storage path and Ray; each failing line with its remedy. Exit code 1 if any.

    Examples:

    - `raykd doctor`

    - `raykd doctor --address auto --storage-path /shared/runs`
    """
    from raykd.config import Config
    from raykd.doctor import examine

    failed = 0
    for finding in examine(storage_path or Config.model_fields["storage_path"].default, address):
        failed += finding.ok is False
        mark = {True: "[green]ok[/]  ", False: "[red]fail[/]", None: "    "}[finding.ok]
        text = escape(f"{finding.subject}: {finding.found}" + (f"; {finding.remedy}" if finding.ok is False else ""))
        Terminal().print(f"{mark} {text}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)
