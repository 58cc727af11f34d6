"""Trials of a sweep as values: what is swept, each trial's settings, which are left, which is best.

Decisions only, without Ray or TensorFlow. Readers: the sweep, the pipeline, the console and the report.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from raykd.artifacts import SWEEP, RunDirectory
from raykd.config import Config, ModelConfig, Range, TrainingConfig

Settings = dict[str, Any]
"""What a trial sets: temperature, alpha, and of learning_rate, soft_loss and student (a model) what is swept."""

OBJECTIVE = "validation_accuracy"
BEST = f"{SWEEP}/best.json"
_TRIALS = f"{SWEEP}/trials"
_MODEL: TypeAdapter[Any] = TypeAdapter(ModelConfig)


@dataclass(frozen=True)
class Values:
    """One of some values."""

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator) -> Any:
        """Any of them, equally likely."""
        return self.values[int(rng.integers(len(self.values)))]

    def holds(self, value: Any) -> bool:
        """Whether it is one of them."""
        return value in self.values


@dataclass(frozen=True)
class Interval:
    """A number from `low` to `high`, spread evenly, or evenly in its logarithm."""

    low: float
    high: float
    log: bool

    def draw(self, rng: np.random.Generator) -> float:
        """One number."""
        if self.log:
            return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return float(rng.uniform(self.low, self.high))

    def holds(self, value: Any) -> bool:
        """Whether it lies within."""
        return bool(self.low <= value <= self.high)


Space = dict[str, Values | Interval]


def space(config: Config) -> Space:
    """What is swept, by name."""
    sweep = config.sweep
    found: Space = {"temperature": _dimension(sweep.temperature, log=True), "alpha": _dimension(sweep.alpha, log=False)}
    if sweep.learning_rate is not None:
        found["learning_rate"] = _dimension(sweep.learning_rate, log=True)
    if sweep.soft_loss is not None:
        found["soft_loss"] = Values(tuple(sweep.soft_loss))
    if sweep.student is not None:
        found["student"] = Values(tuple(model.model_dump(mode="json") for model in sweep.student))
    return found


def _dimension(values: Sequence[float] | Range, *, log: bool) -> Values | Interval:
    return Interval(values.low, values.high, log) if isinstance(values, Range) else Values(tuple(values))


def own_settings(config: Config) -> Settings:
    """The configuration's own values of what is swept."""
    distill = config.distill
    own = {
        "temperature": distill.temperature,
        "alpha": distill.alpha,
        "learning_rate": distill.stage2.learning_rate,
        "soft_loss": distill.soft_loss,
        "student": config.student.model.model_dump(mode="json"),
    }
    return {name: own[name] for name in space(config)}


def with_settings(config: Config, settings: Settings) -> Config:
    """The configuration with a trial's settings in it; a learning rate moves that of stage 1 in proportion."""
    distill, student = config.distill, config.student
    changes: dict[str, Any] = {
        name: settings[name] for name in settings if name in ("temperature", "alpha", "soft_loss")
    }
    if "learning_rate" in settings:
        ratio = settings["learning_rate"] / distill.stage2.learning_rate
        changes["stage1"] = _with_rate(distill.stage1, distill.stage1.learning_rate * ratio)
        changes["stage2"] = _with_rate(distill.stage2, settings["learning_rate"])
    if "student" in settings:
        student = student.model_copy(update={"model": _MODEL.validate_python(settings["student"])})
    return config.model_copy(update={"distill": distill.model_copy(update=changes), "student": student})


def _with_rate(stage: TrainingConfig, rate: float) -> TrainingConfig:
    return stage.model_copy(update={"learning_rate": rate})


def shortened(config: Config) -> Config:
    """The configuration with a trial's epochs."""
    sweep, distill = config.sweep, config.distill
    changes: dict[str, Any] = {}
    if sweep.stage1_epochs is not None:
        changes["stage1"] = distill.stage1.model_copy(update={"epochs": sweep.stage1_epochs})
    if sweep.stage2_epochs is not None:
        changes["stage2"] = distill.stage2.model_copy(update={"epochs": sweep.stage2_epochs})
    return config.model_copy(update={"distill": distill.model_copy(update=changes)})


def listed(config: Config) -> list[Settings]:
    """Settings that are known beforehand: the configuration's own first, then the grid's, or those drawn at random."""
    own, swept = own_settings(config), space(config)
    if config.sweep.searcher == "grid":
        values = [values.values for values in swept.values() if isinstance(values, Values)]
        grid = [dict(zip(swept, combination, strict=True)) for combination in itertools.product(*values)]
        return [own, *(settings for settings in grid if settings != own)]
    if config.sweep.searcher == "random":
        # Each trial has draws of its own: they don't depend on how many there are.
        rngs = (np.random.default_rng([config.seed, trial]) for trial in range(1, config.sweep.trials))
        return [own, *({name: values.draw(rng) for name, values in swept.items()} for rng in rngs)]
    return [own]


def trials_in_all(config: Config) -> int:
    """How many trials the sweep has, trial 0 among them."""
    return len(listed(config)) if config.sweep.searcher == "grid" else config.sweep.trials


Status = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Record:
    """How a trial went.

    Args:
        status: stopped: by the scheduler, as it fell behind; failed: `reason` says why.
        validation_accuracy: of the epoch with the lowest validation loss; None where there was no epoch.
        epochs, steps: that it trained, over both stages.
        seconds: from its start to its end, without the time of an earlier command.
    """

    number: int
    status: Status
    settings: Settings
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    reason: str = ""


def best(records: Sequence[Record]) -> Record | None:
    """The finished trial with the highest validation accuracy, of equals the one with the lowest loss.

    Where none finished, the best of those that were stopped; None where all failed.
    """
    for status in ("finished", "stopped"):
        found = [record for record in records if record.status == status]
        if found:
            return min(found, key=_rank)
    return None


def ranked(records: Sequence[Record]) -> list[Record]:
    """Finished trials, then stopped ones, then failed ones; best first."""
    return sorted(records, key=lambda record: (("finished", "stopped", "failed").index(record.status), _rank(record)))


def _rank(record: Record) -> tuple[float, float, int]:
    accuracy, loss = record.validation_accuracy, record.validation_loss
    return -(accuracy or 0.0), math.inf if loss is None else loss, record.number


def left(trials: int, known: Mapping[int, Settings], recorded: Sequence[int]) -> list[tuple[int, Settings | None]]:
    """The trials to do, in order, with their settings; None: for the searcher to choose.

    Those with settings come first: they may be half done, and the searcher learns from them.
    """
    missing = [number for number in range(trials) if number not in recorded]
    given = [(number, known[number]) for number in missing if number in known]
    return [*given, *((number, None) for number in missing if number not in known)]


def trial_folder(number: int) -> str:
    """Where a trial is trained, relative to the run directory."""
    return f"{_TRIALS}/{number}"


def save_settings(run: RunDirectory, number: int, settings: Settings) -> None:
    """Note what a trial that begins sets, so that it can go on with it."""
    run.write_json(f"{trial_folder(number)}/settings.json", settings)


def known_settings(run: RunDirectory, config: Config) -> dict[int, Settings]:
    """Settings by trial: those known beforehand, and those of trials that have begun."""
    known = dict(enumerate(listed(config)))
    for number in range(len(known), trials_in_all(config)):
        path = f"{trial_folder(number)}/settings.json"
        if run.exists(path):
            known[number] = run.read_json(path)
    return known


def save_record(run: RunDirectory, record: Record) -> None:
    """Publish how a trial went."""
    run.write_json(f"{trial_folder(record.number)}.json", asdict(record))


def read_records(run: RunDirectory) -> list[Record]:
    """Every trial that has ended, by number; none where there was no sweep."""
    records = [Record(**run.read_json(f"{_TRIALS}/{name}")) for name in run.names(_TRIALS, ".json")]
    return sorted(records, key=lambda record: record.number)


def chosen(config: Config, run: RunDirectory) -> Config:
    """The configuration with the sweep's best settings; as it is where the sweep is off.

    Raises: FileNotFoundError before the sweep is done.
    """
    return with_settings(config, run.read_json(BEST)["settings"]) if config.sweep.enabled else config
