"""Settings of the sweep: what is tried, by which searcher, on how much."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from raykd.config.distill import DistillConfig
from raykd.config.models import ModelConfig
from raykd.config.section import Fraction, Positive, RecipeName, Section


class Range(Section):
    """All values from `low` to `high`."""

    low: float
    high: float

    @model_validator(mode="after")
    def _low_below_high(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low below high; found {self.low:g} and {self.high:g}")
        return self


def _positive(values: Range) -> Range:
    if values.low <= 0:
        raise ValueError(f"low above 0; found {values.low:g}")
    return values


def _fractions(values: Range) -> Range:
    if values.low < 0 or values.high > 1:
        raise ValueError(f"low and high from 0 to 1; found {values.low:g} and {values.high:g}")
    return values


def _values_tag(value: Any) -> str:
    return "range" if isinstance(value, Mapping | Range) else "values"


PositiveValues = Annotated[
    Annotated[list[Positive], Field(min_length=1), Tag("values")]
    | Annotated[Range, AfterValidator(_positive), Tag("range")],
    Discriminator(_values_tag),
]
FractionValues = Annotated[
    Annotated[list[Fraction], Field(min_length=1), Tag("values")]
    | Annotated[Range, AfterValidator(_fractions), Tag("range")],
    Discriminator(_values_tag),
]


class SweepConfig(Section):
    """Trials of one student with other settings, over cached logits; the best one's settings train all students.

    What is swept is a list of values, or a range {low, high}. Trial 0 has the configuration's own settings.
    """

    enabled: bool = Field(False, description="sweep before the students are trained")
    trials: int = Field(12, ge=1, description="trials in all; a grid has one per combination instead, and trial 0")
    temperature: PositiveValues = Field(Range(low=1.0, high=8.0), description="a range is sampled log-uniformly")
    alpha: FractionValues = Field(Range(low=0.5, high=1.0), description="a range is sampled uniformly")
    learning_rate: PositiveValues | None = Field(
        None, description="peak of stage 2; stage 1's keeps its ratio to it; a range is sampled log-uniformly"
    )
    soft_loss: list[str] | None = Field(None, min_length=1, description="values of distill.soft_loss")
    student: list[ModelConfig] | None = Field(
        None, min_length=1, description="values of student.model, for the plain student too"
    )
    searcher: Literal["random", "grid", "optuna"] = Field("optuna", description="optuna: tree-structured Parzen")
    scheduler: Literal["none", "asha"] = Field("asha", description="asha: stops trials that fall behind")
    recipe: RecipeName = Field("many_on_one", description="whose student is swept; of paired ones the best teacher's")
    share: float = Field(1.0, gt=0, le=1, description="of each epoch's steps that a trial takes, in both stages")
    stage1_epochs: int | None = Field(None, ge=0, description="of a trial; default: distill.stage1.epochs")
    stage2_epochs: int | None = Field(None, ge=1, description="of a trial; default: distill.stage2.epochs")

    @field_validator("soft_loss")
    @classmethod
    def _known_losses(cls, names: list[str] | None) -> list[str] | None:
        known = get_args(DistillConfig.model_fields["soft_loss"].annotation)
        if set(names or []) - set(known):
            raise ValueError(f"values of {', '.join(known)}")
        return names

    @field_validator("recipe")
    @classmethod
    def _has_teachers(cls, recipe: str) -> str:
        if recipe == "plain":
            raise ValueError("a recipe with teachers: without them temperature and alpha have no part in it")
        if recipe == "noisy_student":
            raise ValueError("a recipe with stages: temperature and alpha have no part in rounds")
        return recipe

    @model_validator(mode="after")
    def _grid_of_lists(self) -> "SweepConfig":
        ranges = [name for name in ("temperature", "alpha", "learning_rate") if isinstance(getattr(self, name), Range)]
        if self.searcher == "grid" and ranges:
            raise ValueError(f"lists of values with searcher grid, but {ranges[0]} is a range; list its values")
        return self
