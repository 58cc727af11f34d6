"""Which models of a job can be exported, by the names that the evaluation gives them. No TensorFlow."""

import importlib.util
from collections.abc import Sequence
from typing import Any

from raykd.artifacts import RunDirectory, teacher_folder
from raykd.config import Config, ExportFormat
from raykd.distill.inheritance import best_teacher
from raykd.distill.recipes import MANY_ON_MANY, NOISY_STUDENT, ONE_ON_ONE, RECIPES, Student, students
from raykd.distill.rounds import rounds
from raykd.errors import InputError

EXPORT = "export"
"""Folder of all exports, relative to the run directory."""

_NEEDS: dict[ExportFormat, dict[str, str]] = {
    "saved_model": {},
    "keras": {},
    "onnx": {"onnx": "onnx", "tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"},
    "litert": {"ai_edge_litert": "ai-edge-litert"},
}

TEACHERS = "teacher_ensemble"
STUDENTS = f"ensemble/{MANY_ON_MANY.name}"
_ONE_ON_ONE = f"student/{ONE_ON_ONE.name}"


def export_folder(name: str) -> str:
    """Where a model is exported to, relative to the run directory."""
    return f"{EXPORT}/{name}"


def export_settings(config: Config) -> dict[str, Any]:
    """What the exported files depend on, apart from the evaluation and the model's name."""
    return config.export.model_dump(include={"formats", "licence"})


def check_installed(formats: Sequence[ExportFormat]) -> None:
    """Raises: InputError where a package is missing that a format needs to be written and loaded back."""
    for format in formats:
        for module, package in _NEEDS[format].items():
            if importlib.util.find_spec(module) is None:
                raise InputError(
                    f"export.formats: {format} needs the package {package}, which isn't installed; "
                    'pip install "raykd[export]", or leave it out'
                )


def exportable(config: Config) -> dict[str, tuple[str, ...]]:
    """Folders of the trained models behind each name; none for the best teacher's student, known only after training.

    External teachers are no models, so neither they nor an ensemble with one of them is here.
    """
    found: dict[str, tuple[str, ...]] = {f"teacher/{one.name}": (teacher_folder(one.name),) for one in config.teachers}
    if found and not config.external:
        found[TEACHERS] = tuple(folder for [folder] in found.values())
    for recipe in config.distill.recipes:
        if recipe == ONE_ON_ONE.name:
            found[_ONE_ON_ONE] = ()
            continue
        trained = [student.folder for student in students([recipe], config.teacher_names)]
        trained += [one.folder for one in rounds(config)] if recipe == NOISY_STUDENT.name else []
        found.update({_name_of(folder): (folder,) for folder in trained})
        if recipe == MANY_ON_MANY.name:
            found[STUDENTS] = tuple(trained)
    return found


def chosen_name(config: Config) -> str:
    """The name of the model to export; a folder's, such as students/many_on_one, does as well.

    Raises: InputError for an unknown name.
    """
    wanted = config.export.model
    known = exportable(config)
    if wanted is None:
        recipes = config.distill.recipes
        last = "many_on_one" if "many_on_one" in recipes else recipes[-1]
        if RECIPES[last] == NOISY_STUDENT:
            return _name_of(rounds(config)[-1].folder)
        return STUDENTS if RECIPES[last] == MANY_ON_MANY else f"student/{last}"
    name = STUDENTS if wanted == f"students/{MANY_ON_MANY.name}" else _name_of(wanted)
    if name not in known:
        raise InputError(f"export.model: found {wanted}, expected one of {', '.join(known)}")
    return name


def folders_of(config: Config, name: str, run: RunDirectory) -> tuple[str, ...]:
    """Folders of the trained models that predict together under this name, relative to the run directory."""
    if name == _ONE_ON_ONE:
        return (Student(MANY_ON_MANY, (best_teacher(config, run),)).folder,)
    return exportable(config)[name]


def _name_of(folder: str) -> str:
    kind, slash, rest = folder.partition("/")
    return f"{kind.removesuffix('s')}{slash}{rest}" if kind in ("students", "teachers") else folder
