"""Where a run came from: versions, seeds, and the commands that repeat it."""

import platform
import shlex
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.report.wording import ABSENT

_PACKAGES = ("raykd", "ray", "tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pyarrow", "tokenizers")


def versions() -> dict[str, str]:
    """Version by name of what is installed here; a package that isn't is left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def date(run: RunDirectory) -> str:
    """When the evaluation was written (UTC), so that a repeated report has the same date."""
    written: datetime | None = run.filesystem.get_file_info(run.path("evaluation.json")).mtime
    return (written or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def seeds(config: Config) -> str:
    """The run's seed, and those of trainings that have their own."""
    own = [f"{key} {training.seed}" for key, training in config.trainings().items() if training.seed is not None]
    return f"{config.seed}, from which every training derives its own" + (f"; but {', '.join(own)}" if own else "")


def commands(config: Config, run: RunDirectory) -> list[tuple[str, str]]:
    """What each does, and how it is written."""
    # The command reads local files only: from elsewhere, the configuration has to be fetched first.
    path = "config.yaml" if "://" in run.root else run.path("config.yaml")
    return [
        ("Repeat the run under another name", f"raykd run {shlex.quote(path)} --name {config.name}-again"),
        ("Go on with this one; what is done is not done again", f"raykd run {shlex.quote(path)}"),
        ("Write this page anew", f"raykd report {shlex.quote(run.root)}"),
    ]


def differences(configs: dict[str, Config]) -> list[tuple[str, list[str]]]:
    """Keys in which configurations differ, with the value that each has; names and places left out.

    A teacher that some don't have is one key, with the type of its model.
    """
    teachers = [{teacher.name: teacher.model.type for teacher in config.teachers} for config in configs.values()]
    unshared = [
        name for name in dict.fromkeys(n for found in teachers for n in found) if not all(name in t for t in teachers)
    ]
    told = [(f"teachers.{name}", [found.get(name, ABSENT) for found in teachers]) for name in unshared]
    flat = [_flat(config.model_dump(mode="json", exclude={"name", "storage_path"})) for config in configs.values()]
    keys = dict.fromkeys(key for values in flat for key in values)
    own = tuple(f"teachers.{name}." for name in unshared)
    told += [(key, [str(values.get(key, ABSENT)) for values in flat]) for key in keys if not key.startswith(own)]
    return [(key, values) for key, values in told if len(set(values)) > 1]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys; entries of a list by their name, else by their number."""
    if isinstance(value, dict) and value:
        entries = list(value.items())
    elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        entries = [(entry.get("name", number), entry) for number, entry in enumerate(value)]
    else:
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, inner in entries:
        found |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return found
