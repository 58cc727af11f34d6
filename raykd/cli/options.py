"""Arguments and options that several commands have."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raykd.config import Config

Source = Annotated[
    str,
    typer.Argument(help="YAML file, or a packaged one: quickstart, digits, mnist, banking77, pretrained."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value, for example distill.alpha=0.5; repeatable."),
]
Name = Annotated[str | None, typer.Option(help="Name of the run.")]
StoragePath = Annotated[str | None, typer.Option(help="Folder or URI that holds run directories.")]
Run = Annotated[str, typer.Argument(help="A run directory, its name below --storage-path, or the YAML that was run.")]
Model = Annotated[
    str | None, typer.Option(help="Such as student/many_on_one, ensemble/many_on_many; default: that of many_on_one.")
]
Address = Annotated[str | None, typer.Option(help="Address of a Ray cluster; default: start Ray here.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show steps and work, done or to do; run nothing.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show Ray's and TensorFlow's own messages too.")]


def load(source: str, set_: list[str] | None, name: str | None, storage_path: str | None) -> "Config":
    """The configuration that a command names, with its options in it. Raises: InputError."""
    from raykd.loading import load_config

    overrides = list(set_ or [])
    # As JSON, which is YAML: a name of digits stays a name.
    overrides += [f"name={json.dumps(name)}"] if name else []
    overrides += [f"storage_path={json.dumps(storage_path)}"] if storage_path else []
    return load_config(source, overrides)
