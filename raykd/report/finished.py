"""A finished run, read back from its directory: for a page that is written anew, or one of several runs."""

from dataclasses import dataclass
from typing import Any

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.errors import InputError
from raykd.stored import find_run, stored_config

_EVALUATION = "evaluation.json"


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
    run = find_run(place, storage_path)
    if not run.exists(_EVALUATION):
        raise InputError(
            f"{run.root}: found no {_EVALUATION}, expected the directory of a finished run; name another, or finish it "
            "with raykd run"
        )
    evaluation = run.read_json(_EVALUATION)
    if not isinstance(evaluation, dict) or "models" not in evaluation:
        raise run.damaged(_EVALUATION, "no models")
    return Finished(stored_config(run), run, evaluation)
