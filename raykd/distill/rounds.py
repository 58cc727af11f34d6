"""The rounds of Noisy Student as values: who teaches in each, where its student stands, what it depends on.

Source: Xie et al. 2020, algorithm 1: a teacher labels the unlabelled rows, a student learns with noise from these and
from the labelled rows, and is the teacher of the next round.
"""

from dataclasses import dataclass
from typing import Any

from raykd.config import Config, ModelConfig
from raykd.distill.inheritance import AVERAGING
from raykd.distill.recipes import NOISY_STUDENT

POOL = ("train", "unlabelled")
"""Splits that a round's student learns from."""


@dataclass(frozen=True)
class Round:
    """One round: its student learns from these teachers' logits, of all together or of the round before.

    Args: number: from 1; teachers: their names in the logits store.
    """

    number: int
    teachers: tuple[str, ...]

    @property
    def path(self) -> str:
        """Of its student among all students."""
        return f"{NOISY_STUDENT.name}/round-{self.number}"

    @property
    def folder(self) -> str:
        """Where its student is trained, relative to the run directory."""
        return f"students/{self.path}"

    @property
    def store(self) -> str:
        """Its student's name in the logits store, as the teacher of the next round."""
        return f"{NOISY_STUDENT.name}-{self.number}"


def rounds(config: Config) -> list[Round]:
    """The rounds in order; none where the recipe isn't asked for. The last one's student is the recipe's result."""
    if NOISY_STUDENT.name not in config.distill.recipes:
        return []
    found = [Round(1, tuple(config.teacher_names))]
    while len(found) < config.distill.noisy_student.rounds:
        found.append(Round(len(found) + 1, (found[-1].store,)))
    return found


def round_model(config: Config) -> ModelConfig:
    """The model of every round's student."""
    return config.distill.noisy_student.model or config.student.model


def round_settings(config: Config, one: Round) -> list[Any]:
    """The settings that the round's weights depend on, apart from its teachers; not how many rounds there are."""
    own = config.distill.noisy_student.model_dump(exclude={"rounds", "model"})
    averaged = config.distill.model_dump(include=AVERAGING) if one.number == 1 else {}
    return [round_model(config).model_dump(), own, averaged]
