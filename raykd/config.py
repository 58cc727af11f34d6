"""The configuration of a whole job: checked once here, frozen, and read by every other module.

Every field states its meaning, unit and default. YAML comes in through `raykd.loading`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from raykd.transfer import check_hidden, check_initialise

RecipeName = Literal["plain", "one_on_one", "one_avg_on_one", "many_on_many", "many_on_one", "noisy_student"]
Workers = Annotated[int, Field(ge=0)] | tuple[int, int]
Cache = Literal["auto", "memory", "none"]
SoftLoss = Literal["kl", "logit_mse", "dkd", "logit_standardised_kl", "dist"]
Weighting = Literal["uniform", "accuracy", "fitted"]
Space = Literal["probabilities", "logits"]
BUILT_IN_SOURCES = ("docsqa", "digits")
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Initialise = Literal["random", "every_other", "first"] | tuple[Annotated[int, Field(ge=0)], ...]
Positive = Annotated[float, Field(gt=0.0)]
ArtefactName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
_WIDTH_PER_HEAD = 32
_ROUND = re.compile(r"noisy_student-\d+")  # the name of a round's student among teachers


class Section(BaseModel):
    """A part of the configuration: frozen, and without keys that it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ExternalColumn(Section):
    """A column of a teacher that was run elsewhere: a list of a number per class, or one number for class 1."""

    column: str = Field(description="name of the column")
    kind: Literal["probabilities", "logits"] = Field(
        "probabilities", description="of the numbers; one logit alone is the log-odds of class 1"
    )


def _named_column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class Columns(Section):
    """Which columns of a source hold what."""

    text: list[str] | None = Field(None, description="one text column, or two for a pair (query, passage)")
    features: str | None = Field(None, description="a column of equally long lists of numbers (image, vector)")
    label: str = Field("label", description="integer class, 0 to classes - 1")
    external: dict[ArtefactName, Annotated[ExternalColumn, BeforeValidator(_named_column)]] = Field(
        default_factory=dict, description="external teachers by name: their column of probabilities, or column and kind"
    )


class DataConfig(Section):
    """Where examples come from and how they are split and fed."""

    source: str = Field("docsqa", description="docsqa, digits, or a path: a file, or a folder of <split> files")
    columns: Columns = Field(default_factory=Columns)
    max_length: int = Field(64, ge=8, description="tokens of an encoded text or pair; longer ones are truncated")
    vocabulary: int = Field(8000, ge=200, description="size of the WordPiece vocabulary trained on the data")
    labelled: int | None = Field(
        None, ge=1, description="training rows that keep their label, the rest is unlabelled; default: all"
    )
    unlabelled: int | None = Field(None, ge=0, description="most unlabelled rows kept; default: all")
    repaired: int = Field(
        0, ge=0, description="unlabelled rows added to a source of pairs: its queries with other passages of its own"
    )
    validation: Fraction = Field(0.1, description="share of the rows held out for choosing, where none comes")
    test: Fraction = Field(0.2, description="share of the rows held out for the final evaluation, where none comes")
    shard_rows: int = Field(4096, ge=1, description="most rows in one Parquet shard")
    bucket: int = Field(16, ge=1, description="token batches are padded to a multiple of it; each width compiles once")
    streams: int = Field(8, ge=1, description="parallel row streams; batch sizes are multiples of it")
    read_tasks: int = Field(1, ge=0, description="Ray Data tasks that read for one worker; 0: read in its own process")
    prefetch: int = Field(8, ge=0, description="batches prepared ahead of the step that reads them")
    cache: Cache = Field("auto", description="keep read rows in memory; auto: where a worker's part is 256 MiB or less")


class CrossEncoderConfig(Section):
    """A transformer that reads both texts of a pair at once (or one text)."""

    type: Literal["cross_encoder"]
    layers: int = Field(2, ge=1)
    width: int = Field(128, ge=8)
    heads: int | None = Field(None, ge=1, description="default: one per 32 of width")
    dropout: Fraction = 0.1
    stochastic_depth: float = Field(
        0.0, ge=0, lt=1, description="chance that training skips the last block's branches; rises to it evenly"
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "CrossEncoderConfig":
        if self.heads and self.width % self.heads:
            raise ValueError(f"a width that is a multiple of heads; {self.width} is none of {self.heads}")
        return self

    @property
    def attention_heads(self) -> int:
        """Heads as asked for, or the default."""
        return self.heads or max(1, self.width // _WIDTH_PER_HEAD)


class BiEncoderConfig(Section):
    """Encodes query and passage apart with one transformer and compares the two vectors."""

    type: Literal["bi_encoder"]
    layers: int = Field(1, ge=1)
    width: int = Field(128, ge=8)
    dropout: Fraction = 0.1

    @property
    def attention_heads(self) -> int:
        """One per 32 of width."""
        return max(1, self.width // _WIDTH_PER_HEAD)


class BiLSTMConfig(Section):
    """A bidirectional LSTM over the encoded text, max-pooled."""

    type: Literal["bilstm"]
    layers: int = Field(1, ge=1)
    width: int = Field(64, ge=4, description="embedding width and units of each direction")
    dropout: Fraction = 0.1


class MLPConfig(Section):
    """Dense layers over a feature vector."""

    type: Literal["mlp"]
    hidden: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [256, 256])
    dropout: Fraction = 0.0
    input_dropout: Fraction = 0.0


class CNNConfig(Section):
    """A small convolutional net over square grey images."""

    type: Literal["cnn"]
    filters: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [32, 64])
    width: int = Field(64, ge=1, description="units of the dense layer before the head")
    dropout: Fraction = 0.0


class CustomModelConfig(Section):
    """A function of the user's own, `package.module:function`, that builds the body."""

    type: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    options: dict[str, Any] = Field(default_factory=dict, description="keyword arguments for the function")


MODEL_TYPES: dict[str, type[Section]] = {
    "cross_encoder": CrossEncoderConfig,
    "bi_encoder": BiEncoderConfig,
    "bilstm": BiLSTMConfig,
    "mlp": MLPConfig,
    "cnn": CNNConfig,
}


def _model_tag(value: Any) -> str | None:
    name = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    if isinstance(name, str) and ":" in name:
        return "custom"
    return name if name in MODEL_TYPES else None


ModelConfig = Annotated[
    Annotated[CrossEncoderConfig, Tag("cross_encoder")]
    | Annotated[BiEncoderConfig, Tag("bi_encoder")]
    | Annotated[BiLSTMConfig, Tag("bilstm")]
    | Annotated[MLPConfig, Tag("mlp")]
    | Annotated[CNNConfig, Tag("cnn")]
    | Annotated[CustomModelConfig, Tag("custom")],
    Discriminator(_model_tag),
]


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
    jit_compile: bool = Field(True, description="compile the step with XLA: slower to start, then faster")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="sgd: without momentum")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="of activations; weights stay float32; mixed_float16 scales the loss"
    )
    accumulate: int = Field(1, ge=1, description="parts that a batch is cut into, to need less memory; one update")
    checkpoint_steps: int | None = Field(None, ge=1, description="steps between checkpoints; default: one per epoch")
    keep_checkpoints: int = Field(1, ge=1, description="checkpoints kept while training, the newest")
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    seed: int | None = Field(None, ge=0, description="weights, dropout and row order; default: derived from `seed`")


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
        "first, such as [0, 3]; embeddings, final norm and golden head come along; the plain student stays random",
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


class Stage1Config(TrainingConfig):
    """Stage 1: soft labels only, over the whole pool."""

    epochs: int = Field(2, ge=0, description="0 leaves stage 1 out")
    learning_rate: float = Field(2e-3, gt=0)
    pool: list[Literal["unlabelled", "train"]] = ["unlabelled", "train"]


class Stage2Config(TrainingConfig):
    """Stage 2: hard and soft labels, over the labelled rows."""

    epochs: int = Field(4, ge=1)
    learning_rate: float = Field(5e-4, gt=0)


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


class DistillConfig(Section):
    """Recipes, soft loss and the two stages."""

    recipes: list[RecipeName] = ["plain", "one_on_one", "one_avg_on_one", "many_on_many", "many_on_one"]
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
    hidden: HiddenConfig = Field(default_factory=HiddenConfig)
    stage1: Stage1Config = Field(default_factory=lambda: Stage1Config())
    stage2: Stage2Config = Field(default_factory=lambda: Stage2Config())
    noisy_student: NoisyStudentConfig = Field(default_factory=NoisyStudentConfig)


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


class ScalingConfig(Section):
    """How much runs side by side."""

    workers: Workers = Field(
        0, description="processes of one training, or [least, most] for as many as there is room for; 0: the lane's own"
    )
    strategy: Literal["one_device", "mirrored", "multi_worker_mirrored", "parameter_server"] = Field(
        "multi_worker_mirrored",
        description="of tf.distribute; without workers multi_worker_mirrored is one_device; parameter_server updates "
        "asynchronously, and never gives the same weights twice",
    )
    parameter_servers: int = Field(1, ge=1, description="processes that hold the weights, with parameter_server")
    cpus_per_worker: int = Field(1, ge=1, description="cores of each worker")
    gpus_per_worker: int = Field(0, ge=0, description="accelerators of each worker")
    lanes: int | Literal["auto"] = Field("auto", description="trainings side by side; auto: as the CPUs allow")
    max_failures: int = Field(3, ge=0, description="how often a lane or a training's workers are replaced, in all")

    @model_validator(mode="after")
    def _workers_fit_strategy(self) -> "ScalingConfig":
        if self.strategy in ("one_device", "mirrored") and self.most_workers > 1:
            raise ValueError(f"at most 1 worker with strategy {self.strategy}; multi_worker_mirrored takes more")
        if self.strategy == "parameter_server" and not (isinstance(self.workers, int) and self.workers):
            raise ValueError(f"a number of workers, 1 or more, with strategy parameter_server; found {self.workers}")
        if isinstance(self.workers, tuple) and not 1 <= self.workers[0] <= self.workers[1]:
            raise ValueError(f"workers of the form [least, most] with 1 <= least <= most; found {list(self.workers)}")
        return self

    @property
    def most_workers(self) -> int:
        """Workers of one training, where there is room."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]


class Config(Section):
    """A whole job."""

    name: ArtefactName = Field("docsqa", description="name of the run; its directory is <storage_path>/<name>")
    seed: int = Field(0, ge=0, description="seed of the split, the weights, dropout and row order")
    storage_path: str = Field("~/raykd_results", description="folder or pyarrow filesystem URI")
    data: DataConfig = Field(default_factory=DataConfig)
    teachers: list[TeacherConfig] = Field(
        default_factory=list, description="teachers to train; none where data.columns.external names one"
    )
    student: StudentConfig
    distill: DistillConfig = Field(default_factory=DistillConfig)
    sweep: SweepConfig = Field(default_factory=SweepConfig)
    scaling: ScalingConfig = Field(default_factory=ScalingConfig)

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        names = self.teacher_names
        if not names:
            raise ValueError("teachers: found [], expected at least 1, here or under data.columns.external; add one")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"teachers: the name {sorted(twice)[0]} stands twice; give each its own")
        if self._has_rounds and (taken := next((name for name in names if _ROUND.fullmatch(name)), None)):
            raise ValueError(
                f"teachers: the name {taken} is that of a student with the recipe noisy_student; choose another"
            )
        if self.external and self.data.source in BUILT_IN_SOURCES:
            raise ValueError(
                f"data.columns.external: found {', '.join(self.external)}, expected none with data.source "
                f"{self.data.source}, which has no such column; leave it out"
            )
        if self.external and self.data.repaired:
            # Every student of an external teacher reads its scores of the whole pool.
            raise ValueError(
                f"data.repaired: found {self.data.repaired}, expected 0 with data.columns.external, which has no "
                "score of a new pair; leave out either"
            )
        if self.external and self.distill.hidden.loss != "none":
            raise ValueError(
                f"distill.hidden.loss: found {self.distill.hidden.loss} with data.columns.external, which has no "
                "hidden states; leave out either"
            )
        for where, training in self.trainings().items():
            if training.batch_size % self.data.streams:
                raise ValueError(
                    f"{where}.batch_size: found {training.batch_size}, expected a multiple of "
                    f"data.streams ({self.data.streams}); change either"
                )
            rows = training.batch_size // self.data.streams
            if rows % training.accumulate:
                raise ValueError(
                    f"{where}.accumulate: found {training.accumulate}, expected a divisor of batch_size / data.streams "
                    f"({rows}); change either"
                )
            _check_augment(f"{where}.augment", training, self.data)
        for where, stage in (("stage1", self.distill.stage1), ("stage2", self.distill.stage2)):
            if self.distill.soft_loss == "dist" and stage.accumulate > 1:
                raise ValueError(
                    f"distill.{where}.accumulate: found {stage.accumulate}, expected 1 with distill.soft_loss dist, "
                    "which compares all rows of a batch; change either"
                )
        noisy = self.distill.noisy_student
        if self._has_rounds and noisy.labels == "soft" and noisy.training.augment.mixup:
            raise ValueError(
                f"distill.noisy_student.training.augment.mixup: found {noisy.training.augment.mixup}, but soft labels "
                "are those of unmixed rows; remove it or set labels: hard"
            )
        models = {teacher.name: teacher.model for teacher in self.teachers}
        check_initialise(self.student.initialise, self.student.initialise_from, self.student.model, models)
        check_hidden(self.distill.hidden.loss, self.scaling.strategy, self.student.model, models)
        if self.scaling.most_workers > self.data.streams:
            raise ValueError(
                f"scaling.workers: found {self.scaling.most_workers}, expected at most data.streams "
                f"({self.data.streams}); raise data.streams"
            )
        if self.scaling.strategy == "parameter_server" and self.data.streams % self.scaling.most_workers:
            raise ValueError(
                f"scaling.workers: found {self.scaling.most_workers}, expected a divisor of data.streams "
                f"({self.data.streams}) with strategy parameter_server; change either"
            )
        return self

    @property
    def external(self) -> list[str]:
        """Names of the teachers that come as a column of the data."""
        return list(self.data.columns.external)

    @property
    def teacher_names(self) -> list[str]:
        """Names of all teachers, the trained ones first: the order of a student's heads."""
        return [*(teacher.name for teacher in self.teachers), *self.external]

    def teacher(self, name: str) -> TeacherConfig:
        """The trained teacher of this name."""
        return next(teacher for teacher in self.teachers if teacher.name == name)

    def trainings(self) -> dict[str, TrainingConfig]:
        """Every training section by its dotted key; that of rounds where the recipe is asked for."""
        return {
            **{f"teachers.{teacher.name}.training": teacher.training for teacher in self.teachers},
            "student.training": self.student.training,
            "distill.stage1": self.distill.stage1,
            "distill.stage2": self.distill.stage2,
            **({"distill.noisy_student.training": self.distill.noisy_student.training} if self._has_rounds else {}),
        }

    @property
    def _has_rounds(self) -> bool:
        return "noisy_student" in self.distill.recipes


def _check_augment(where: str, training: TrainingConfig, data: DataConfig) -> None:
    """Raises: ValueError for a change that these rows, or this stage, can't have."""
    columns = "texts" if data.columns.text else "features" if data.columns.features else None
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
