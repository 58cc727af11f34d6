from typing import get_args

import pytest

from raykd.config import RecipeName
from raykd.distill.recipes import MANY_ON_MANY, ONE_AVG_ON_ONE, PLAIN, RECIPES, TMKD, Student, students

PAIRED = ["students/many_on_many/a", "students/many_on_many/b", "students/many_on_many/c"]


def test_every_recipe_of_the_configuration_has_a_value():
    assert set(RECIPES) == set(get_args(RecipeName))
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@pytest.mark.parametrize(
    ("recipes", "folders"),
    [
        ([], []),
        (["plain"], ["students/plain"]),
        (["noisy_student"], []),  # Its students are those of rounds.
        (["one_avg_on_one"], ["students/one_avg_on_one"]),
        (["many_on_one"], ["students/many_on_one"]),
        (["many_on_many"], PAIRED),
        (["one_on_one"], PAIRED),  # Which teacher is best is known only when all are trained.
        (["one_on_one", "many_on_many"], PAIRED),  # not trained twice
        (["many_on_one", "plain", "plain"], ["students/many_on_one", "students/plain"]),
        (
            ["plain", "one_on_one", "one_avg_on_one", "many_on_many", "many_on_one"],
            ["students/plain", *PAIRED, "students/one_avg_on_one", "students/many_on_one"],
        ),
    ],
)
def test_which_students_are_trained_where(recipes, folders):
    assert [student.folder for student in students(recipes, ["a", "b", "c"])] == folders


@pytest.mark.parametrize(
    ("student", "heads"),
    [
        (Student(PLAIN, ()), 1),
        (Student(MANY_ON_MANY, ("a",)), 1),
        (Student(ONE_AVG_ON_ONE, ("a", "b", "c")), 1),
        (Student(TMKD, ("a",)), 2),
        (Student(TMKD, ("a", "b", "c")), 4),
    ],
)
def test_heads(student, heads):
    assert student.heads == heads


@pytest.mark.parametrize(
    ("recipe", "fed_by"),
    [
        ("plain", [()]),
        ("one_on_one", [("b",), ("a",)]),
        ("many_on_many", [("b",), ("a",)]),
        ("one_avg_on_one", [("b", "a")]),
        ("many_on_one", [("b", "a")]),
    ],
)
def test_teachers_feed_students_in_the_order_given(recipe, fed_by):
    assert [student.teachers for student in students([recipe], ["b", "a"])] == fed_by


def test_with_one_teacher_the_paired_student_is_one():
    assert students(["one_on_one"], ["a"]) == [Student(MANY_ON_MANY, ("a",))]


def test_recipes_that_average():
    assert [name for name, recipe in RECIPES.items() if recipe.average] == ["one_avg_on_one", "noisy_student"]
