"""Configuration files: YAML and overrides in, a checked `Config` out, and errors that name key and remedy."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

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
_SHOULD_BE = "input should be "
_DETAILS = re.compile(r", unable to .*| after validation, not \d+")  # that the value itself tells


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
    if isinstance(values, dict):
        for override in overrides:
            _apply_override(values, override)
        for override in overrides:
            _check_matters(values, override)
    return parse_config(values, source)


def parse_config(values: Mapping[str, Any], source: str = "config") -> Config:
    """Check a mapping in the YAML's form. Raises: InputError as `load_config`."""
    if not isinstance(values, Mapping):
        raise InputError(f"{source}: found {type(values).__name__}, expected a mapping of keys to values")
    merged = _with_teacher_defaults(values, source)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error, merged)}") from error


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


def _check_matters(values: Mapping[str, Any], override: str) -> None:
    """Refuse a common value that every teacher has one of its own for, as in a run's config.yaml."""
    section, *path = override.partition("=")[0].split(".")
    teachers = values.get("teachers")
    if section != "teacher_defaults" or not path or not isinstance(teachers, list) or not teachers:
        return
    if all(_has_own(teacher, path) for teacher in teachers):
        own = " ".join(f"--set teachers.{teacher.get('name')}.{'.'.join(path)}=..." for teacher in teachers)
        raise InputError(
            f"--set {override}: found {'.'.join(path)} of its own in every teacher, which goes before; give {own}"
        )


def _has_own(values: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return False
        values = values[key]
    return not isinstance(values, Mapping)


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


def _explain(error: ValidationError, values: Mapping[str, Any]) -> str:
    """One line on the first error, and on what else would have done in its place."""
    errors = error.errors()
    first = errors[0]
    location, model_type = _written(first, values)
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
    if first["type"] == "model_type":
        return f"{key}: found {first['input']!r}, expected a section with keys of its own"
    messages = [_lowered(one["msg"]) for one in errors if _written(one, values)[0] == location]
    if not key:
        return first["msg"].removeprefix("Value error, ")
    wanted, *others = dict.fromkeys(messages)
    alternatives = "".join(f", or {other.removeprefix(_SHOULD_BE)}" for other in others)
    return f"{key}: found {first['input']!r}, expected: {wanted}{alternatives}"


def _lowered(message: str) -> str:
    message = _DETAILS.sub("", message.removeprefix("Value error, ")).replace("valid tuple", "list")
    return f"{message[0].lower()}{message[1:]}"


def _written(error: ErrorDetails, values: Any) -> tuple[list[int | str], str]:
    """Where an error is, as the user wrote it, and the type of the model that it is in, if any.

    Without the tags that pydantic puts in: they name no key of the values.
    """
    written, tags, place = list[int | str](), list[str](), values
    for part in error["loc"]:
        known = place if isinstance(place, Mapping) else dict(enumerate(place)) if isinstance(place, list) else {}
        if part in known:
            written.append(part)
            place = known[part]
        else:
            tags.append(str(part))
    if error["type"] == "missing":
        written.append(tags.pop())
    return written, next((tag for tag in tags if tag in (*MODEL_TYPES, "custom")), "")


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
