"""Settings of distillation: recipes, soft losses, how teachers are averaged, rounds of Noisy Student."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from raykd.config.models import ModelConfig
from raykd.config.section import Fraction, NonNegative, RecipeName, Section, distinct
from raykd.config.training import Stage1Config, Stage2Config, TrainingConfig

SoftLoss = Literal["kl", "logit_mse", "dkd", "logit_standardised_kl", "dist"]
Weighting = Literal["uniform", "accuracy", "fitted"]
Space = Literal["probabilities", "logits"]


class HiddenConfig(Section):
    """A loss on hidden states beside that on logits; it runs the teachers within every step of both stages."""

    loss: Literal["none", "cosine", "mse", "attention_relation"] = Field(
        "none",
        description="cosine or mse of the last hidden states, through a learned projection where widths differ; "
        "attention_relation (MiniLM) of the last block, for cross_encoders with equally many heads",
    )
    weight: float = Field(1.0, gt=0, description="of this loss, which is added to the blend of hard and soft loss")


class NoisyStudentConfig(Section):
    """Rounds of self-training on the unlabelled rows (Xie et al. 2020), for the recipe `noisy_student`.

    In each round a teacher labels the unlabelled rows without noise, and a student learns with noise from those and
    the labelled ones; it teaches the next round. The first teacher is the average that teaches `one_avg_on_one`.
    """

    rounds: int = Field(2, ge=1, description="students in a row; the last one is the recipe's result")
    confidence: float = Field(
        0.3, ge=0, lt=1, description="unlabelled rows are kept if their teacher's largest probability is above it"
    )
    balance: bool = Field(
        True, description="weigh kept rows so that each class the teacher predicts counts as much as any other"
    )
    labels: Literal["soft", "hard"] = Field(
        "soft", description="the teacher's probabilities at temperature 1, or its most probable class"
    )
    model: ModelConfig | None = Field(
        None,
        description="of every round's student, as large as its teacher or larger, with dropout and stochastic_depth; "
        "default: the student's",
    )
    training: TrainingConfig = Field(
        default_factory=lambda: TrainingConfig(learning_rate=2e-3),
        description="of every round; `augment` is noise too; without any noise this is plain self-training",
    )


def _recipes() -> list[RecipeName]:
    return ["plain", "one_on_one", "one_avg_on_one", "many_on_many", "many_on_one"]


class DistillConfig(Section):
    """Recipes, soft loss and the two stages."""

    recipes: Annotated[list[RecipeName], AfterValidator(distinct)] = Field(
        default_factory=_recipes, min_length=1, description="how students learn; each is trained"
    )
    temperature: float = Field(2.0, gt=0, description="T: larger is softer")
    alpha: Fraction = Field(0.9, description="weight of the soft loss; the hard loss has 1 - alpha")
    soft_loss: SoftLoss = Field(
        "kl", description="kl with T; logit_mse; for more than two classes: dkd, logit_standardised_kl, dist"
    )
    dkd_weights: tuple[NonNegative, NonNegative] = Field(
        (1.0, 8.0), description="of dkd's parts: target against the rest, among the rest; less sure teachers: less"
    )
    weighting: Weighting = Field(
        "uniform",
        description="of the members of ensembles and of one_avg_on_one's teachers: equal; in proportion to their "
        "accuracy on the validation rows; or fitted: least NLL there",
    )
    average: Space = Field("probabilities", description="what ensembles and one_avg_on_one average")
    external: bool = Field(
        True,
        description="students learn from external teachers too; false: from the trained ones alone, which have learned "
        "from the external ones where rows have no label, and can score new pairs (data.repaired)",
    )
    hidden: HiddenConfig = Field(default_factory=HiddenConfig)
    stage1: Stage1Config = Field(default_factory=lambda: Stage1Config())
    stage2: Stage2Config = Field(default_factory=lambda: Stage2Config())
    noisy_student: NoisyStudentConfig = Field(default_factory=NoisyStudentConfig)
