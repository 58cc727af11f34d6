"""One student, from a store of teachers' logits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from raykd.api.models import Student
from raykd.api.store import LogitsStore
from raykd.artifacts import fingerprint, logits_folder
from raykd.cluster import connect
from raykd.distill import recipes
from raykd.distill.stages import student_jobs, student_spec
from raykd.errors import InputError
from raykd.models.build import build
from raykd.train.checkpoint import assign, load_weights
from raykd.train.launch import launch

Recipe = Literal["plain", "one_on_one", "one_avg_on_one", "many_on_one"]

_RECIPES = {
    "plain": recipes.PLAIN,
    "one_on_one": recipes.MANY_ON_MANY,  # From the one teacher that is named.
    "one_avg_on_one": recipes.ONE_AVG_ON_ONE,
    "many_on_one": recipes.TMKD,
}


def distill(
    student: Student,
    store: LogitsStore,
    *,
    recipe: Recipe = "many_on_one",
    teachers: Sequence[str] | None = None,
    seed: int = 0,
    training: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Student:
    """Train a student on a store's examples and its teachers' logits, in this process.

    Args:
        recipe: `plain` (labels alone), `one_on_one` (from one teacher), `one_avg_on_one` (from the average),
            `many_on_one` (TMKD: a golden head and one per teacher).
        teachers: names in the store; None: all.
        seed: of the heads' weights, dropout and the order of rows.
        training: of a plain student, as the section `student.training`.
        settings: of the others, as the section `distill`: temperature, alpha, soft_loss, stage1, stage2, weighting, ...
    Returns: a trained student; the one that was given stays as it is. Where the store holds the same one, trained with
    the same settings on the same logits, that is taken.
    Raises: InputError for settings or teachers that can't be.
    """
    if "hidden" in settings:
        raise InputError("hidden: a store holds logits alone, no hidden states; leave it out, or write a configuration")
    taught_by = _teachers(recipe, store.teachers if teachers is None else tuple(teachers), store)
    wanted = recipes.Student(_RECIPES[recipe], taught_by)
    section = {"model": student.config().model_dump(), "training": dict(training or {})}
    config = store.config(section, distill={**settings, "recipes": [recipe]}, seed=seed)
    jobs = student_jobs(config, wanted, store.manifest, store.run)
    stores = [store.run.read_json(f"{logits_folder(name)}/manifest.json") for name in taught_by]
    mark = fingerprint(config.model_dump(include={"seed", "student", "distill"}), recipe, taught_by, stores)

    def own(folder: str) -> str:
        return folder.replace(wanted.folder, f"students/{student.name}/{recipe}-{mark[:12]}", 1)

    trained = build(student_spec(config, wanted, store.manifest), seed)  # First: a body that doesn't fit ends it here.
    with connect(None, verbose=False):
        for job in jobs:
            initial = None if job.initial is None else own(job.initial)
            launch(replace(job, folder=own(job.folder), initial=initial), store.run, _silent, config.scaling)
    assign(trained.variables, load_weights(store.run, own(jobs[-1].folder)), student.name)
    return Student(student.name, student.body, trained)


def _teachers(recipe: str, names: tuple[str, ...], store: LogitsStore) -> tuple[str, ...]:
    if recipe not in _RECIPES:
        raise InputError(f"recipe: found {recipe}, expected one of {', '.join(_RECIPES)}")
    if unknown := sorted(set(names) - set(store.teachers)):
        found = ", ".join(store.teachers) or "none"
        raise InputError(f"teachers: {unknown[0]} has not scored the store; found {found}; add it with store.add")
    if recipe == "plain":
        return ()
    if not names or (recipe == "one_on_one" and len(names) != 1):
        expected = "one" if recipe == "one_on_one" else "at least one"
        raise InputError(f"teachers: found {', '.join(names) or 'none'}, expected {expected} for {recipe}; name them")
    return names


def _silent(event: dict[str, Any]) -> None:
    """A notebook's cell prints what its author prints."""
