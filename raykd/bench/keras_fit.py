"""The Keras side of `raykd bench distill`: `fit` of the student alone, and of a `keras.distillation.Distiller`.

Both train the models that raykd trains, with the same optimizer, from arrays in memory, and with the best of a few
settings, which a short trial finds.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from raykd.artifacts import teacher_folder
from raykd.bench.subjects import ALPHA, TEMPERATURE, Subject
from raykd.config import TrainingConfig
from raykd.data.reader import Reader
from raykd.models.build import HEADS, ModelSpec, build
from raykd.train.checkpoint import assign, load_weights

_TRIAL_EPOCHS = 2  # after the first, which traces and compiles


@dataclass(frozen=True)
class Setting:
    """Arguments of `compile`."""

    steps_per_execution: int
    jit_compile: bool


@dataclass(frozen=True)
class Rows:
    """Arrays to train on: inputs [rows, length] and labels [rows]."""

    inputs: NDArray[Any]
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class Tuned:
    """A model that is compiled with the best of the settings tried, and trains.

    Args: start_up: seconds that building, tracing and compiling took, with this setting; tried: the least seconds
    of an epoch of the trial, by setting.
    """

    model: keras.Model
    setting: Setting
    start_up: float
    tried: dict[Setting, float]


def rows_of(subject: Subject) -> Rows:
    """The training rows of a subject's shards."""
    shards = list(Reader(subject.run, subject.manifest.of("train"), subject.manifest.inputs).all())
    inputs, labels = (np.concatenate([shard[name] for shard in shards]) for name in ("inputs", "label"))
    return Rows(inputs, labels)


def student_of(subject: Subject) -> keras.Model:
    """The student as raykd builds it, from inputs to logits [rows, classes]."""
    return _flat(build(subject.student, seed=0))


def distiller_of(subject: Subject, teachers: Sequence[str]) -> keras.distillation.Distiller:
    """A student beside these teachers, in each step; several are averaged to one."""
    return keras.distillation.Distiller(
        teacher=_teacher_of(subject, teachers),
        student=student_of(subject),
        # With its default loss LogitsDistillation clips raw logits: no divergence of distributions.
        distillation_losses=[
            keras.distillation.LogitsDistillation(temperature=TEMPERATURE, loss=keras.losses.KLDivergence())
        ],
        student_loss_weight=1.0 - ALPHA,  # The other loss gets the rest, beside weights of its own.
    )


def tuned(make: Callable[[], keras.Model], subject: Subject, rows: Rows) -> Tuned:
    """Train for some epochs in each of a few settings, and keep what was fastest.

    First without and with XLA, then with more or fewer steps in one execution.
    Args: make: a fresh model, not compiled.
    """
    case = subject.case
    few = Rows(rows.inputs[: case.trial_batches * case.batch_size], rows.labels[: case.trial_batches * case.batch_size])
    usual, *others = case.steps_per_execution
    found = [
        _try(make, subject, few, Setting(usual, jit_compile))
        for jit_compile in ((False, True) if case.xla else (False,))
    ]
    compiled = _fastest(found).setting.jit_compile
    found += [_try(make, subject, few, Setting(steps, compiled)) for steps in others]
    best = _fastest(found)
    tried = {setting: seconds for one in found for setting, seconds in one.tried.items()}
    return Tuned(best.model, best.setting, best.start_up, tried)


def fit(model: keras.Model, rows: Rows, batch_size: int, epochs: int) -> list[float]:
    """Train; returns the seconds of each epoch, from its first batch to its last."""
    clock = _Clock()
    model.fit(rows.inputs, rows.labels, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[clock])
    return clock.seconds


class _Clock(keras.callbacks.Callback):
    """Times epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._begun = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._begun)


def _try(make: Callable[[], keras.Model], subject: Subject, rows: Rows, setting: Setting) -> Tuned:
    begun = time.perf_counter()
    model = make()
    updates = -(-subject.rows // subject.case.batch_size)
    _compile(model, subject.job("", 1).training, updates, setting)
    built = time.perf_counter() - begun
    first, *later = fit(model, rows, subject.case.batch_size, 1 + _TRIAL_EPOCHS)
    return Tuned(model, setting, built + first - min(later), {setting: min(later)})


def _fastest(found: Sequence[Tuned]) -> Tuned:
    return min(found, key=lambda one: one.tried[one.setting])


def _compile(model: keras.Model, training: TrainingConfig, updates: int, setting: Setting) -> None:
    """raykd's optimizer in Keras's words. Args: updates: over which the rate rises and falls."""
    warmup = max(1, round(training.warmup * updates))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, updates - warmup, warmup_target=training.learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=training.weight_decay, global_clipnorm=training.clip_norm)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, steps_per_execution=setting.steps_per_execution, jit_compile=setting.jit_compile)


def _teacher_of(subject: Subject, teachers: Sequence[str]) -> keras.Model:
    members = [_trained(subject, name) for name in teachers]
    if len(members) == 1:
        return members[0]
    inputs = keras.Input(members[0].input.shape[1:], dtype=members[0].input.dtype)
    return keras.Model(inputs, keras.layers.Average()([member(inputs) for member in members]))


def _trained(subject: Subject, teacher: str) -> keras.Model:
    spec: ModelSpec = subject.teacher
    model = build(spec, seed=0)
    assign(model.variables, load_weights(subject.run, teacher_folder(teacher)), teacher)
    return _flat(model)


def _flat(model: keras.Model) -> keras.Model:
    """Without the axis of heads, of which there is one."""
    return keras.Model(model.input, model.get_layer(HEADS).output)
