"""Configuration files: YAML and overrides in, a checked `Config` out, and errors that name key and remedy."""

import difflib
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from raykd.config import (
    MODEL_TYPES,
    AugmentConfig,
    Columns,
    Config,
    CustomModelConfig,
    DataConfig,
    DistillConfig,
    ExportConfig,
    ExternalColumn,
    HiddenConfig,
    ImageConfig,
    NoisyStudentConfig,
    Range,
    ScalingConfig,
    Section,
    Stage1Config,
    Stage2Config,
    StudentConfig,
    SweepConfig,
    TeacherConfig,
    TrainingConfig,
)
from raykd.errors import InputError

_SWEPT = {"temperature", "alpha", "learning_rate"}  # keys of values in a list or a range
_VALUE_TAGS = {"values", "range"}


def packaged_configs() -> list[str]:
    """Names of the configurations that come with raykd."""
    folder = resources.files("raykd") / "configs"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_config(source: str = "quickstart", overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file, or a packaged configuration by name, put `a.b=value` overrides on top and check it.

    Raises: InputError naming the file, the key, what was found and what was expected.
    """
    if source in packaged_configs():
        text = (resources.files("raykd") / "configs" / f"{source}.yaml").read_text()
    else:
        text = _read_file(source)
    return load_text(text, source, overrides)


def load_text(text: str, source: str, overrides: Sequence[str] = ()) -> Config:
    """As `load_config`, from YAML that has been read. Args: source: its name in errors."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{source}: found {type(values).__name__}, expected a mapping of keys to values")
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, source)


def parse_config(values: Mapping[str, Any], source: str = "config") -> Config:
    """Check a mapping in the YAML's form. Raises: InputError as `load_config`."""
    try:
        return Config.model_validate(_with_teacher_defaults(values, source))
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error)}") from error


def _read_file(source: str) -> str:
    try:
        return Path(source).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: not a text file in UTF-8 ({error.reason}); expected YAML") from error
    except OSError as error:
        names = ", ".join(packaged_configs())
        raise InputError(
            f"{source}: {os.strerror(error.errno or 0)}; expected a readable YAML file or one of: {names}"
        ) from error


def _apply_override(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise InputError(f"--set {override}: expected key=value, for example --set distill.alpha=0.5")
    *parents, last = path.split(".")
    place: Any = values
    for key in parents:
        if isinstance(place, list):
            place = _teacher_named(place, key, override)
        else:
            if place.get(key) is None:
                place[key] = {}
            place = place[key]
        if not isinstance(place, dict | list):
            raise InputError(f"--set {override}: {key} is a value, not a section; shorten the key")
    if isinstance(place, list):
        raise InputError(f"--set {override}: {last} names a list entry; name a key inside it")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {override}: not valid YAML: {' '.join(str(error).split())}") from error


def _teacher_named(entries: list[Any], name: str, override: str) -> Any:
    for entry in entries:
        if isinstance(entry, dict) and entry.get("name") == name:
            return entry
    names = ", ".join(str(entry.get("name")) for entry in entries if isinstance(entry, dict))
    raise InputError(f"--set {override}: no entry named {name}; found {names}")


def _with_teacher_defaults(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    merged = dict(values)
    defaults = merged.pop("teacher_defaults", None) or {}
    if not isinstance(defaults, Mapping):
        raise InputError(
            f"{source}: teacher_defaults: found {defaults!r}, expected a section such as training: {{epochs: 4}}"
        )
    teachers = merged.get("teachers")
    if isinstance(teachers, list):
        merged["teachers"] = [_merge(defaults, entry) for entry in teachers]
    return merged


def _merge(defaults: Any, values: Any) -> Any:
    if not isinstance(defaults, Mapping) or not isinstance(values, Mapping):
        return values
    return {**defaults, **{key: _merge(defaults.get(key), value) for key, value in values.items()}}


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    model_type, location = _without_tag(first["loc"])
    key = ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key; {_nearest_key(location, model_type)}"
    if first["type"] == "union_tag_not_found" or first["type"] == "union_tag_invalid":
        if not isinstance(first["input"], Mapping):
            return f"{key}: found {first['input']!r}, expected a section with a type, such as {{type: mlp}}"
        found = first["input"].get("type")
        return f"{key}.type: found {found}, expected {', '.join(MODEL_TYPES)} or package.module:function"
    if first["type"] == "missing":
        return f"{key}: missing; add it"
    message = first["msg"].removeprefix("Value error, ")
    if not key:
        return message
    return f"{key}: found {first['input']!r}, expected: {message[0].lower()}{message[1:]}"


def _without_tag(location: Sequence[int | str]) -> tuple[str, list[int | str]]:
    """The model type, if any, and the location as the user wrote it: without the tags that pydantic puts in."""
    model_type, written = "", list[int | str]()
    for i, part in enumerate(location):
        before = tuple(location[:i])
        if not model_type and (before[-1:] == ("model",) or before[:-1] == ("sweep", "student")):
            model_type = str(part)
        elif part not in _VALUE_TAGS or before[-1] not in _SWEPT:
            written.append(part)
    return model_type, written


def _nearest_key(location: Sequence[int | str], model_type: str) -> str:
    known = sorted(_known_keys(location[:-1], model_type))
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known keys here: {', '.join(known)}"


def _known_keys(parents: Sequence[int | str], model_type: str) -> set[str]:
    """Keys of the section at `parents`."""
    if model_type:
        return set(MODEL_TYPES.get(model_type, CustomModelConfig).model_fields)
    if len(parents) > 1 and parents[-2] == "external":
        return set(ExternalColumn.model_fields)
    sections: dict[str, type[Section]] = {
        "": Config, "data": DataConfig, "columns": Columns, "image": ImageConfig, "teachers": TeacherConfig,
        "training": TrainingConfig, "student": StudentConfig, "distill": DistillConfig, "hidden": HiddenConfig,
        "stage1": Stage1Config, "stage2": Stage2Config, "scaling": ScalingConfig,
        "augment": AugmentConfig, "noisy_student": NoisyStudentConfig,
        "sweep": SweepConfig, "export": ExportConfig, **dict.fromkeys(_SWEPT, Range),
    }  # fmt: skip
    name = next((str(part) for part in reversed(parents) if isinstance(part, str)), "")
    keys = set(sections[name].model_fields)
    return keys | {"teacher_defaults"} if name == "" else keys
