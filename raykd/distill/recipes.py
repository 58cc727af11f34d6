"""Recipes as values: which teachers feed which student, through which heads, in which stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """How students learn from teachers (Yang et al. 2020, section 4.3).

    Args:
        teachers: none; the best one on validation; each one its own student; all of them one student.
        average: the teachers' mean acts as one teacher.
        heads: "one" output, or a golden one and "one per teacher".
        rounds: each student teaches the next one (`raykd.distill.rounds`), in place of stages.
    """

    name: str
    teachers: Literal["none", "best", "each", "all"]
    average: bool = False
    heads: Literal["one", "one per teacher"] = "one"
    rounds: bool = False


PLAIN = Recipe("plain", "none")
ONE_ON_ONE = Recipe("one_on_one", "best")
ONE_AVG_ON_ONE = Recipe("one_avg_on_one", "all", average=True)
MANY_ON_MANY = Recipe("many_on_many", "each")
TMKD = Recipe("many_on_one", "all", heads="one per teacher")
NOISY_STUDENT = Recipe("noisy_student", "all", average=True, rounds=True)

RECIPES = {recipe.name: recipe for recipe in (PLAIN, ONE_ON_ONE, ONE_AVG_ON_ONE, MANY_ON_MANY, TMKD, NOISY_STUDENT)}


@dataclass(frozen=True)
class Student:
    """One student to train: its recipe and the teachers that feed it, in the order of its heads."""

    recipe: Recipe
    teachers: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Where it is trained, relative to the run directory."""
        paired = f"/{self.teachers[0]}" if self.recipe.teachers == "each" else ""
        return f"students/{self.recipe.name}{paired}"

    @property
    def heads(self) -> int:
        """Outputs: one, or a golden one and one per teacher."""
        return 1 if self.recipe.heads == "one" else 1 + len(self.teachers)

    @property
    def heads_without_labels(self) -> int:
        """Outputs where no row has a label to train the golden one with, so that it is left out."""
        return max(1, self.heads - 1)


def students(recipes: Sequence[str], teachers: Sequence[str]) -> list[Student]:
    """The students to train for these recipes, but for those of rounds.

    The one-on-one student is the many-on-many student of the best teacher, so `one_on_one` alone asks for
    the same students: which teacher is best is known only when all are trained.
    """
    wanted: dict[str, Student] = {}
    for name in recipes:
        recipe = RECIPES[name]
        if recipe.rounds:
            continue
        if recipe.teachers == "none":
            found = [Student(recipe, ())]
        elif recipe.teachers == "all":
            found = [Student(recipe, tuple(teachers))]
        else:
            found = [Student(MANY_ON_MANY, (teacher,)) for teacher in teachers]
        wanted.update({student.folder: student for student in found})
    return list(wanted.values())
