"""`raykd bench distill`: a student taught by cached logits, beside Keras's own distillation and training on labels.

Four ways of training the same student on the same rows, with the same optimizer, in one process and in turns:

a. raykd, on cached logits: the teachers score all rows once, and every epoch reads what they said.
b. `keras.distillation.Distiller`: the teachers run in every step. Several are one model, the mean of their logits.
c. Keras's `fit` of the student, on labels alone.
d. raykd, on labels alone.

Training time is linear in epochs, so a few are timed and totals are worked out: those of `a` as the scoring and so many
epochs, those of the others as so many epochs. What is paid once in a process, before the first epoch can run at full
speed, is measured apart (`Measured.start_up`) and stands in no total. Neither side validates or saves in an epoch's
time: `fit` isn't asked to, and raykd does it between epochs.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import keras

from raykd.artifacts import RunDirectory, logits_folder, teacher_folder
from raykd.bench.keras_fit import Rows, Tuned, distiller_of, fit, rows_of, student_of, tuned
from raykd.bench.subjects import Case, Subject, prepare
from raykd.config import ScalingConfig
from raykd.distill.logits import score
from raykd.train.launch import launch

Show = Callable[[str, float], None]
"""Gets what was measured, and its seconds, as soon as they are known."""

SCORING = "scoring"
_WARM_EPOCHS = 1  # of every raykd training: it reads the shards


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args: rows: to train on; teachers: numbers of teachers, each a case of its own; repeats: turns that count.
    """

    rows: int
    teachers: tuple[int, ...] = (1, 3)
    repeats: int = 5


@dataclass
class Measured:
    """Seconds of every turn by what was measured: `a/1`, `b/1` (with one teacher), `c`, `d`: the median epoch of the
    turn; `scoring/1`: all rows by one teacher.

    Args: start_up: seconds before the first epoch runs at full speed: building, tracing and compiling, raykd's with
    its first read of the shards; settings: Keras's, that were fastest.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    start_up: dict[str, float] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Median seconds over all turns."""
        return statistics.median(self.seconds[name])


def measure(case: Case, size: Size, show: Show) -> Measured:
    """Train in all four ways, alternating, once each is compiled. Needs Ray."""
    with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
        subject = prepare(case, RunDirectory(folder), size.rows, max(size.teachers))
        measured = Measured()
        fits = _tune(subject, size, measured, show)
        _start(subject, size, measured, show)
        rows = rows_of(subject)
        for turn in range(size.repeats):
            for name, seconds in _turn(subject, size, fits, rows, turn):
                measured.seconds.setdefault(name, []).append(seconds)
                show(f"{name}, turn {turn + 1} of {size.repeats}", seconds)
    return measured


def total(measured: Measured, name: str, epochs: int) -> float:
    """Seconds of a training of so many epochs, scoring included; worked out from medians."""
    way, _, teachers = name.partition("/")
    once = measured.median(f"{SCORING}/{teachers}") if way == "a" else 0.0
    return once + epochs * measured.median(name)


def ratios(measured: Measured, teachers: int, epochs: Sequence[int]) -> dict[str, float]:
    """How many times as fast one way is as another: `a over b` with scoring, at so many epochs; the others by epoch."""
    ours, theirs = f"a/{teachers}", f"b/{teachers}"
    over_b = {
        f"a over b, {count} epochs": total(measured, theirs, count) / total(measured, ours, count) for count in epochs
    }
    return {
        **over_b,
        "a over b, without scoring": measured.median(theirs) / measured.median(ours),
        "a over d, without scoring": measured.median("d") / measured.median(ours),
        "d over c": measured.median("c") / measured.median("d"),
    }


def _turn(
    subject: Subject, size: Size, fits: Mapping[str, Tuned], rows: Rows, turn: int
) -> Iterator[tuple[str, float]]:
    """Each scoring, and the median epoch of each training, in the order in which they are timed."""
    case = subject.case
    yield from _score(subject, size).items()
    for name, teachers in _ours(subject, size).items():
        yield name, statistics.median(_train(subject, f"{name}/turn-{turn}", case.turn_epochs, teachers))
    for name, one in fits.items():
        epochs = 1 if name.startswith("b") else case.turn_epochs  # With teachers in it one epoch is long enough.
        yield name, statistics.median(fit(one.model, rows, case.batch_size, epochs))


def _ours(subject: Subject, size: Size) -> Mapping[str, tuple[str, ...]]:
    """raykd's trainings, and the teachers of each."""
    return {"d": (), **{f"a/{count}": subject.teachers[:count] for count in size.teachers}}


def _tune(subject: Subject, size: Size, measured: Measured, show: Show) -> dict[str, Tuned]:
    """Keras's trainings, each with its best setting."""
    rows = rows_of(subject)
    makers: dict[str, Callable[[], keras.Model]] = {"c": partial(student_of, subject)}
    for count in size.teachers:
        makers[f"b/{count}"] = partial(distiller_of, subject, subject.teachers[:count])
    fits = {}
    for name, make in makers.items():
        one = tuned(make, subject, rows)
        measured.start_up[name] = one.start_up
        measured.settings[name] = asdict(one.setting)
        show(f"{name}, start-up", one.start_up)
        fits[name] = one
    return fits


def _start(subject: Subject, size: Size, measured: Measured, show: Show) -> None:
    """Everything that raykd does once in a process, timed."""
    cold = _score(subject, size)
    warm = _score(subject, size)
    for name in cold:
        # Teachers of one shape share what is compiled, so this is paid by the first of them.
        measured.start_up[name] = max(0.0, cold[name] - warm[name])
    for name, teachers in _ours(subject, size).items():
        begun = time.perf_counter()
        [epoch] = _train(subject, f"{name}/cold", 1, teachers)
        measured.start_up[name] = time.perf_counter() - begun - epoch * (1 + _WARM_EPOCHS)
        show(f"{name}, start-up", measured.start_up[name])


def _score(subject: Subject, size: Size) -> dict[str, float]:
    """Seconds in which the first teachers score all rows, one after the other, by how many."""
    seconds = []
    for name in subject.teachers:
        subject.run.delete_folder(logits_folder(name))
        begun = time.perf_counter()
        score(name, teacher_folder(name), subject.teacher, subject.run, _ignore)
        seconds.append(time.perf_counter() - begun)
    return {f"{SCORING}/{count}": sum(seconds[:count]) for count in size.teachers}


def _train(subject: Subject, folder: str, epochs: int, teachers: Sequence[str]) -> list[float]:
    """Seconds of each of so many epochs of a training in this process, after those that aren't counted."""
    job = subject.job(f"students/{folder}", _WARM_EPOCHS + epochs, teachers)
    launch(job, subject.run, _ignore, ScalingConfig())
    return [epoch["seconds"] for epoch in subject.run.read_json(f"{job.folder}/history.json")[_WARM_EPOCHS:]]


def _ignore(event: dict[str, Any]) -> None:
    """Nothing is shown while a training runs."""
