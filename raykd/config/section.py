"""What all sections of the configuration share: the base class, and types of single values."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

RecipeName = Literal["plain", "one_on_one", "one_avg_on_one", "many_on_many", "many_on_one", "noisy_student"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
ArtefactName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]


def distinct(values: list[str]) -> list[str]:
    """A list in which nothing stands twice. Raises: ValueError."""
    if twice := next((value for value in values if values.count(value) > 1), None):
        raise ValueError(f"each value once, but {twice} stands twice; drop one")
    return values


class Section(BaseModel):
    """A part of the configuration: frozen, and without keys that it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
