"""Settings of one model's training, of teachers, of the student and of its two stages."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from raykd.config.data import DataConfig
from raykd.config.models import ModelConfig
from raykd.config.section import ArtefactName, Fraction, Section, distinct

Pool = Literal["unlabelled", "train"]
Initialise = Literal["random", "every_other", "first"] | tuple[Annotated[int, Field(ge=0)], ...]


class AugmentConfig(Section):
    """Random changes to training rows, new in every epoch; all off by default.

    A student's cached logits are those of the unchanged rows: in stages 1 and 2 this teaches it to answer as the
    teacher does to the original, an approximation for changes that keep the meaning.
    """

    token_dropout: Fraction = Field(0.0, description="texts: chance that a token becomes [UNK]")
    span_swap: Fraction = Field(0.0, description="texts: chance that two neighbouring spans of a text change places")
    shift: int = Field(0, ge=0, description="square images: most pixels of a shift, to each side and up or down")
    rotate: float = Field(0.0, ge=0, le=180, description="square images: most degrees of a rotation, either way")
    mixup: float = Field(
        0.0, ge=0, description="features: rows mix in pairs, labels too, by weights from Beta(mixup, mixup)"
    )

    def active(self) -> list[str]:
        """Names of the changes that are on."""
        return [name for name, value in self if value]


_AUGMENTED = {
    "token_dropout": "texts", "span_swap": "texts", "shift": "features", "rotate": "features", "mixup": "features",
}  # fmt: skip


class TrainingConfig(Section):
    """How one model is trained."""

    epochs: int = Field(6, ge=1)
    batch_size: int = Field(64, ge=1, description="rows of a global batch, over all workers")
    learning_rate: float = Field(1e-3, gt=0, description="peak rate, after warm-up and before cosine decay")
    warmup: Fraction = Field(0.1, description="share of all steps in which the rate rises linearly from 0")
    weight_decay: float = Field(0.01, ge=0, description="decoupled (AdamW), per step and unit of learning rate")
    clip_norm: float = Field(1.0, gt=0, description="largest global norm of the gradient")
    patience: int = Field(2, ge=1, description="stop after so many epochs without a better validation loss")
    steps_per_call: int = Field(16, ge=1, description="most training steps in one call into TensorFlow")
    jit_compile: bool | Literal["auto"] = Field(
        True,
        description="compile the step with XLA: slower to start, then mostly faster; auto: try all ways in the first "
        "steps, for features also several steps in one compiled loop, and go on with the fastest (they draw other "
        "dropout: runs no longer repeat)",
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="sgd: without momentum")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"] = Field(
        "float32",
        description="of activations; weights stay float32; mixed_float16 scales the loss; auto: try float32 and "
        "mixed_bfloat16 in the first steps and go on with the faster (runs no longer repeat); float32 on parameter "
        "servers and with distill.hidden",
    )
    accumulate: int = Field(1, ge=1, description="parts that a batch is cut into, to need less memory; one update")
    checkpoint_steps: int | None = Field(None, ge=1, description="steps between checkpoints; default: one per epoch")
    keep_checkpoints: int = Field(1, ge=1, description="checkpoints kept while training, the newest")
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    seed: int | None = Field(None, ge=0, description="weights, dropout and row order; default: derived from `seed`")

    @property
    def precisions(self) -> tuple[str, ...]:
        """Keras's dtype policies that a step may compute in; the model is built in the first."""
        return ("float32", "mixed_bfloat16") if self.precision == "auto" else (self.precision,)


class TeacherConfig(Section):
    """One teacher: its name, model and training."""

    name: ArtefactName
    model: ModelConfig
    training: TrainingConfig = Field(default_factory=TrainingConfig)


class StudentConfig(Section):
    """The student: one size for every recipe; `training` is that of the plain student."""

    model: ModelConfig
    training: TrainingConfig = Field(default_factory=lambda: TrainingConfig(learning_rate=2e-3))
    initialise: Initialise = Field(
        "random",
        description="blocks of a teacher to start from: every_other (0, 2, ...), first, or their numbers, bottom "
        "first, such as [0, 3]; embeddings, final norm and golden head come along; the plain student stays random; "
        "random: as its model is drawn, a pretrained one from its preset",
    )
    initialise_from: str = Field(
        "paired",
        description="whose blocks: a teacher's name, best (on validation), or paired: a student with one teacher "
        "starts from that one, the others from the best",
    )

    @field_validator("initialise", mode="before")
    @classmethod
    def _names_blocks(cls, value: Any) -> Any:
        numbers = isinstance(value, list | tuple) and all(type(one) is int and one >= 0 for one in value)
        if not (numbers and value) and value not in ("random", "every_other", "first"):
            raise ValueError("random, every_other, first or a list of the teacher's block numbers, such as [0, 3]")
        return value


def _pool() -> list[Pool]:
    return ["unlabelled", "train"]


class Stage1Config(TrainingConfig):
    """Stage 1: soft labels only, over the whole pool."""

    epochs: int = Field(2, ge=0, description="0 leaves stage 1 out")
    learning_rate: float = Field(2e-3, gt=0)
    pool: Annotated[list[Pool], AfterValidator(distinct)] = Field(
        default_factory=_pool, min_length=1, description="splits whose rows it learns from"
    )


class Stage2Config(TrainingConfig):
    """Stage 2: hard and soft labels, over the labelled rows."""

    epochs: int = Field(4, ge=1)
    learning_rate: float = Field(5e-4, gt=0)


def check_augment(where: str, training: TrainingConfig, data: DataConfig) -> None:
    """Raises: ValueError for a change that these rows, or this stage, can't have."""
    images = data.format == "images" or data.columns.image
    columns = "texts" if data.columns.text else "features" if data.columns.features or images else None
    kind = {"docsqa": "texts", "digits": "features"}.get(data.source, columns)
    for name in training.augment.active():
        found = f"{where}.{name}: found {getattr(training.augment, name)}"
        if kind and _AUGMENTED[name] != kind:
            raise ValueError(f"{found}, but the data are {kind}, and it changes {_AUGMENTED[name]}; remove it")
        if name == "mixup" and isinstance(training, Stage1Config | Stage2Config):
            raise ValueError(f"{found}, but the teachers' logits are those of unmixed rows; remove it")
        if name == "mixup" and training.batch_size == data.streams:
            raise ValueError(
                f"{found}, but each of the {data.streams} data.streams gives 1 row to a batch, and rows mix within a "
                "stream; raise batch_size or lower data.streams"
            )
