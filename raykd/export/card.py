"""The model card: data, recipe, metrics, limits and licence, as Markdown with the header that model hubs read."""

from importlib import metadata, resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from raykd.config import Config
from raykd.data.shards import SPLITS, Manifest
from raykd.export.model import Servable

_NAMES_SHOWN = 20  # of classes
_PACKAGES = ("raykd", "tensorflow", "keras")
_RECIPES = {
    "plain": "trained on labels alone",
    "one_on_one": "distilled from the best teacher on the validation rows",
    "one_avg_on_one": "distilled from the average of all teachers",
    "many_on_many": "distilled from one teacher",
    "many_on_one": "distilled from all teachers at once, a head for each beside a golden one (TMKD, Yang et al. 2020)",
    "noisy_student": "trained in rounds on its predecessor's answers, with noise (Xie et al. 2020)",
    "teacher": "a teacher, trained on labels",
    "teacher_ensemble": "the average of all teachers",
    "student_ensemble": "the average of students that learned from one teacher each (many-on-many, Yang et al. 2020)",
}
_SHOWN = (
    ("accuracy", "accuracy", "{:.2%}"),
    ("auc", "ROC AUC", "{:.4f}"),
    ("f1_macro", "macro F1", "{:.4f}"),
    ("nll", "NLL (nats)", "{:.4f}"),
    ("ece", "ECE", "{:.4f}"),
    ("agreement", "agreement with the teacher ensemble", "{:.1%}"),
    ("retention", "accuracy over the best teacher's", "{:.3f}"),
)


def card(
    config: Config, servable: Servable, manifest: Manifest, described: dict[str, Any], evaluated: dict[str, Any]
) -> str:
    """The card of an exported model.

    Args: described: the bundle's manifest with its verified formats; evaluated: `evaluation/models.json`.
    """
    [line] = [model for model in evaluated["models"] if model["name"] == servable.name]
    template = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
    text = (resources.files("raykd") / "export" / "card.md").read_text(encoding="utf-8")
    # An ensemble isn't scaled, though its line says what that would give.
    scaled = {key: line.get(f"{key}_tempered") for key in ("nll", "ece") if described["temperature"] != 1.0}
    figures = {**line, **scaled}
    shown = [(title, form.format(figures[key])) for key, title, form in _SHOWN if figures.get(key) is not None]
    kind = line["kind"] if line["kind"] in ("teacher_ensemble", "student_ensemble") else line["recipe"] or "teacher"
    rendered: str = template.from_string(text).render(
        config=config,
        name=servable.name,
        parameters=servable.parameters,
        how=_RECIPES[kind],
        learned_from=evaluated["learned_from"],
        inputs=servable.inputs,
        reads_texts=servable.reads_texts,
        described=described,
        named=[_in_markdown(name) for name in described["class_names"][:_NAMES_SHOWN]],
        rows={split: manifest.rows(split) for split in SPLITS},
        metrics=shown,
        interval=line["accuracy_ci95"],
        best_teacher=evaluated["best_teacher"],
        device=evaluated["device"],
        distilled=line["recipe"] not in (None, "plain", "noisy_student"),
        versions=", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES),
        example=_example(described),
    )
    return rendered


def _in_markdown(name: str) -> str:
    """A class's name as code, so that nothing in it is taken for Markdown."""
    text = " ".join(name.replace("`", "'").split())
    return f"`{text}`"


def _example(described: dict[str, Any]) -> str:
    if described["inputs"]["kind"] == "features":
        return "[[0, 0, ...]]"
    values = ", ".join(f'"{name}": "..."' for name in described["fields"])
    return f"[{{{values}}}]"
