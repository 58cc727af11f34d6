"""A finished run, read back from its directory: for a page that is written anew, or one of several runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.errors import InputError
from raykd.loading import parse_config


@dataclass(frozen=True)
class Finished:
    """What a page is written from."""

    config: Config
    directory: RunDirectory
    evaluation: dict[str, Any]


def read_finished(place: str, storage_path: str | None = None) -> Finished:
    """Read a run.

    Args: place: its directory or URI, or its name below the storage path; None: the default one.
    Raises: InputError where there is no finished run.
    """
    storage = storage_path or str(Config.model_fields["storage_path"].default)
    whole = "://" in place or Path(place).expanduser().is_dir()
    run = RunDirectory(_absolute(place)) if whole else RunDirectory.at(storage, place)
    for file in ("config.yaml", "evaluation.json"):
        if not run.exists(file):
            raise InputError(
                f"{run.root}: found no {file}, expected the directory of a finished run; name another, or finish it "
                "with raykd run"
            )
    config = parse_config(yaml.safe_load(run.read_bytes("config.yaml")), run.path("config.yaml"))
    return Finished(config, run, run.read_json("evaluation.json"))


def _absolute(place: str) -> str:
    return place.rstrip("/") if "://" in place else str(Path(place).expanduser().absolute())
