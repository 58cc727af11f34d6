"""A configuration to start from: every setting with its meaning and default, made from the configuration's own models.

Reader: `raykd init`. Settings that stand at their default are commented out, without a space behind the mark.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from raykd.config import MODEL_TYPES, Config, Section, StudentConfig, TrainingConfig

_WIDTH = 100
_HEADER = """\
A job for raykd: `raykd run {file}`. Lines such as `#seed: 0` are settings at their default: take the mark away
to change one (and that of the section above it). `raykd run {file} --dry-run` shows what it would do."""
_START: dict[str, Any] = {
    "name": "mine",
    "data": {"source": "rows.parquet", "columns": {"text": ["query", "passage"], "label": "label"}},
    "student": {"model": {"type": "cross_encoder", "layers": 1, "width": 32}},
}
_TEACHERS = [
    {"name": "a", "model": {"type": "cross_encoder", "layers": 2, "width": 96}},
    {"name": "b", "model": {"type": "bilstm", "width": 96}},
    {"name": "c", "model": {"type": "cross_encoder", "layers": 1, "width": 128}},
]


def starter(file: str) -> str:
    """The text of a configuration file. Args: file: its name, for the first lines."""
    lines = [f"# {line}" for line in _HEADER.format(file=file).splitlines()]
    for name, field in Config.model_fields.items():
        lines.append("")
        if name == "teachers":
            lines += [*_teacher_defaults(), "", *_teachers(field)]
        else:
            lines += _entry(name, field, _default(field, name), _START.get(name), 0)
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo, name: str) -> Any:
    if name == "student":  # It has no default: its model has none.
        return StudentConfig.model_validate(_START["student"])
    return field.get_default(call_default_factory=True)


def _entry(name: str, field: FieldInfo, default: Any, active: Any, depth: int) -> list[str]:
    """A setting or a section, with its description before it."""
    lines = _comment(field.description, depth)
    if isinstance(default, Section) and name != "model":
        mark = "" if active else "#"
        return [*lines, f"{'  ' * depth}{mark}{name}:", *_entries(default, active or {}, depth + 1)]
    mark = "#" if active is None else ""
    return [*lines, f"{'  ' * depth}{mark}{name}: {_flow(default if active is None else active)}"]


def _entries(section: Section, active: Mapping[str, Any], depth: int) -> list[str]:
    return [
        line
        for name, field in type(section).model_fields.items()
        for line in _entry(name, field, getattr(section, name), active.get(name), depth)
    ]


def _teacher_defaults() -> list[str]:
    return [
        "# what the teachers have in common",
        "#teacher_defaults:",
        "  #training:",
        *_entries(TrainingConfig(), {}, 2),
    ]


def _teachers(field: FieldInfo) -> list[str]:
    lines = [*_comment(field.description, 0), *_comment("types of models, and what they can be given:", 0)]
    for name, model in MODEL_TYPES.items():
        settings = ", ".join(
            f"{key} {'(needed)' if option.is_required() else _flow(option.get_default(call_default_factory=True))}"
            for key, option in model.model_fields.items()
            if key != "type"
        )
        lines += _comment(f"- {name}: {settings}", 0)
    lines += _comment("- package.module:function: options, a mapping of keyword arguments", 0)
    return [*lines, "teachers:", *(f"  - {_flow(teacher)}" for teacher in _TEACHERS)]


def _comment(text: str | None, depth: int) -> list[str]:
    indent = "  " * depth
    return [f"{indent}# {line}" for line in textwrap.wrap(text or "", _WIDTH - len(indent))]


def _flow(value: Any) -> str:
    plain = value.model_dump(mode="json") if isinstance(value, Section) else value
    plain = list(plain) if isinstance(plain, tuple) else plain
    text: str = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip()
