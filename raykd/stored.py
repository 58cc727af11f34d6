"""A run that is there already: found by its name or place, its configuration read back."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from raykd.artifacts import EVALUATION, MARKER, RunDirectory
from raykd.config import Config
from raykd.errors import InputError
from raykd.loading import load_text

CONFIG = "config.yaml"
"""Of the last command that did, or began to do, a part of the job."""

EVALUATED = f"{EVALUATION}/config.yaml"
"""With which the models were trained that the evaluation measured."""


def keep_config(run: RunDirectory, config: Config, path: str = CONFIG) -> None:
    """Write the configuration into the run directory."""
    run.write_bytes(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).encode())


def find_run(place: str, storage_path: str | None = None) -> RunDirectory:
    """The directory of a run that was begun.

    Args: place: the run directory, a path or URI, or its name below the storage path; storage_path: None: the default.
    Raises: InputError where there is none, naming where it was looked for.
    """
    named = RunDirectory.at(storage_path or str(Config.model_fields["storage_path"].default), place)
    direct = RunDirectory.opened(place)
    whole = "://" in place or Path(place).expanduser().is_absolute()
    for directory in (direct,) if whole else (direct, named):
        if directory.exists(CONFIG):
            return directory
    looked = direct.root if whole else f"{direct.root} or {named.root}"
    raise InputError(
        f"{place}: found no {CONFIG} in {looked}, expected a run directory such as ~/raykd_results/quickstart; name "
        "another, set --storage-path, or run `raykd run` first"
    )


def stored_config(run: RunDirectory, overrides: Sequence[str] = ()) -> Config:
    """The run's own configuration, with `a.b=value` overrides on top: of its evaluation, if there is one.

    What to export is as the last command had it: no model depends on it. Raises: InputError for a damaged one.
    """
    last = _read(run, CONFIG, overrides)
    if not (run.exists(f"{EVALUATION}/{MARKER}") and run.exists(EVALUATED)):
        return last
    return _read(run, EVALUATED, overrides).model_copy(update={"export": last.export})


def _read(run: RunDirectory, relative: str, overrides: Sequence[str]) -> Config:
    path = run.path(relative)
    try:
        text = run.read_bytes(relative).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8 ({error.reason}); expected YAML") from error
    return load_text(text, path, overrides)
