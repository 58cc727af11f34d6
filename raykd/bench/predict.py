"""`raykd bench predict`: predictions of a finished run's models, exported and loaded back.

The student beside the teachers' ensemble, from raw texts and from inputs that are encoded already; and the
many-on-many ensemble as one model beside its students one by one. Each in batches of the size that suits it best, of
those tried before the first turn. All in turns and in one process, so that what else the machine does slows all alike.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.data.shards import read_manifest
from raykd.distill.trials import chosen
from raykd.errors import InputError
from raykd.export.choice import STUDENTS, TEACHERS, chosen_name, exportable
from raykd.export.formats import write
from raykd.export.model import Servable, load_servable
from raykd.export.verify import batch, validation_rows, written_out

_SECONDS = 0.5  # of a turn, at least
_TRIAL_SECONDS = 0.2  # of each batch size, at least
_BATCHES = (32, 64, 128, 256, 512, 1024)  # rows
_RAW, _ENCODED, _ONE_BY_ONE = "from texts", "from inputs", "students one by one"

Rates = dict[str, list[float]]
"""Rows per second of every turn, by case."""


def measure(
    config: Config,
    run: RunDirectory,
    model: str | None,
    repeats: int,
    show: Callable[[str, float], None],
) -> Rates:
    """Predict validation rows in every case, alternating; texts are those that the rows' ids stand for.

    Args: config: of the run; model: a student, None: the one that would be exported; show: gets each turn's rate as
    soon as it is known.
    Raises: InputError where there is no such student, or the run has no ensemble of teachers beside it.
    """
    config = chosen(config, run)
    if model is not None:
        config = config.model_copy(update={"export": config.export.model_copy(update={"model": model})})
    with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
        cases = {case: _at_its_best(of_size) for case, of_size in _cases(config, run, Path(folder)).items()}
        rates: Rates = {case: [] for case in cases}
        for turn in range(1, repeats + 1):
            for case, (rows, predict) in cases.items():
                rates[case].append(rows / _seconds(predict, _SECONDS))
                show(f"{case}, batches of {rows}, repeat {turn} of {repeats}", rates[case][-1])
    return rates


def summary(rates: Mapping[str, list[float]]) -> dict[str, float]:
    """Medians, and how many times as fast as what it stands beside each case is."""
    medians = {case: statistics.median(values) for case, values in rates.items()}
    found = dict(medians)
    for way in (_RAW, _ENCODED):
        students = [case for case in medians if case.startswith("student/") and case.endswith(way)]
        found |= {f"{case} over {TEACHERS}": medians[case] / medians[f"{TEACHERS} {way}"] for case in students}
    if _ONE_BY_ONE in medians:
        found[f"{STUDENTS} over {_ONE_BY_ONE}"] = medians[f"{STUDENTS} {_ENCODED}"] / medians[_ONE_BY_ONE]
    return found


Batches = tuple[int, Callable[[], None]]
"""Rows of a batch, and what predicts it."""

Case = Callable[[int], Batches]
"""Batches of at most so many rows."""


def _at_its_best(of_size: Case) -> Batches:
    """Batches of the size that is predicted at the highest rate."""
    tried = dict(map(of_size, _BATCHES))  # by rows: there may be fewer than a size asks for
    return max(tried.items(), key=lambda one: one[0] / _seconds(one[1], _TRIAL_SECONDS))


def _cases(config: Config, run: RunDirectory, folder: Path) -> dict[str, Case]:
    known, student = exportable(config), chosen_name(config)
    if TEACHERS not in known or not student.startswith("student/"):
        raise InputError(
            f"bench predict: found {student} beside {', '.join(known)}, expected a student beside {TEACHERS}; "
            "name another run, or a student with --model"
        )
    servables = {name: load_servable(config, name, run) for name in (TEACHERS, student)}
    cases = {
        f"{name} {way}": case
        for name, one in servables.items()
        for way, case in _ways(_saved(one, folder / name), one, run).items()
    }
    if len(known.get(STUDENTS, ())) > 1:
        together = load_servable(config, STUDENTS, run)
        cases[f"{STUDENTS} {_ENCODED}"] = _ways(_saved(together, folder / STUDENTS), together, run)[_ENCODED]
        cases[_ONE_BY_ONE] = _one_by_one(config, run, folder)
    return cases


def _one_by_one(config: Config, run: RunDirectory, folder: Path) -> Case:
    known = exportable(config)
    members = [name for name, folders in known.items() if name != STUDENTS and set(folders) & set(known[STUDENTS])]
    servables = {name: load_servable(config, name, run) for name in members}
    alone = [_ways(_saved(one, folder / name), one, run)[_ENCODED] for name, one in servables.items()]

    def of_size(most: int) -> Batches:
        batches = [one(most) for one in alone]

        def predict() -> None:
            for _, one in batches:
                one()

        return batches[0][0], predict

    return of_size


def _saved(servable: Servable, path: Path) -> Any:
    write(servable, "saved_model", path)
    return tf.saved_model.load(str(path))


def _ways(model: Any, servable: Servable, run: RunDirectory) -> dict[str, Case]:
    rows = validation_rows(run, read_manifest(run))
    ways: dict[str, Case] = {_ENCODED: _case(model, "serve", batch(rows, servable.inputs, 0, _BATCHES[-1]))}
    if servable.reads_texts and servable.tokenizer is not None:
        ways[_RAW] = _case(
            model, "serve_texts", *written_out(servable.tokenizer, rows, len(servable.fields), _BATCHES[-1])
        )
    return ways


def _case(model: Any, endpoint: str, *columns: Any) -> Case:
    """Args: columns: the endpoint's arguments, a value per row each."""

    def of_size(most: int) -> Batches:
        arguments = [tf.constant(column[:most]) for column in columns]
        # The model itself must stay: its variables go with it.
        return int(arguments[0].shape[0]), lambda: _finish(getattr(model, endpoint)(*arguments))

    return of_size


def _finish(outputs: Mapping[str, Any]) -> None:
    outputs["probabilities"].numpy()


def _seconds(predict: Callable[[], None], least: float) -> float:
    """Of one call: the median of calls that take so many seconds together."""
    predict()
    times: list[float] = []
    while not times or sum(times) < least:
        begun = time.perf_counter()
        predict()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
