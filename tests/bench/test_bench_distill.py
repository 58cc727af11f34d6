"""The distillation benchmark: all four ways train, both sides of it have one loss, and ratios are those of medians."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.bench.distill import Measured, Size, measure, ratios, total
from raykd.bench.distill_table import figures
from raykd.bench.keras_fit import distiller_of, rows_of
from raykd.bench.subjects import CASES, TEMPERATURE, Case, cases_named, prepare
from raykd.config import MLPConfig
from raykd.data.reader import Reader
from raykd.distill.logits import score
from raykd.errors import InputError
from raykd.losses import Objective

TINY: Case = replace(
    CASES["mlp"],
    teacher=MLPConfig(type="mlp", hidden=[8]),
    student=MLPConfig(type="mlp", hidden=[4]),
    batch_size=32,
    turn_epochs=1,
    trial_batches=2,
    steps_per_execution=(1, 2),
    xla=False,
)

MEASURED = Measured(
    seconds={
        "scoring/1": [4.0, 9.0, 5.0],
        "scoring/3": [15.0],
        "a/1": [1.0, 0.5, 2.0],
        "a/3": [1.25],
        "b/1": [8.0],
        "b/3": [20.0, 26.0],
        "c": [1.5],
        "d": [0.75, 0.5],
    },
)


def test_totals_are_scoring_and_epochs() -> None:
    assert total(MEASURED, "a/1", 5) == pytest.approx(5.0 + 5 * 1.0)
    assert total(MEASURED, "b/3", 20) == pytest.approx(20 * 23.0)
    assert total(MEASURED, "d", 5) == pytest.approx(5 * 0.625)


def test_ratios_say_how_many_times_as_fast() -> None:
    assert ratios(MEASURED, 1, (5, 20)) == {
        "a over b, 5 epochs": pytest.approx(40 / 10),
        "a over b, 20 epochs": pytest.approx(160 / 25),
        "a over b, without scoring": pytest.approx(8.0),
        "a over d, without scoring": pytest.approx(0.625),
        "d over c": pytest.approx(1.5 / 0.625),
    }


@pytest.mark.slow
def test_all_ways_are_measured(local_ray: None) -> None:
    shown: list[str] = []
    size = Size(rows=64, teachers=(2,), repeats=2)
    measured = measure(TINY, size, lambda case, seconds: shown.append(case))
    trained = {"a/2", "b/2", "c", "d"}
    assert set(measured.seconds) == trained | {"scoring/2"}
    assert all(len(values) == 2 and min(values) > 0 for values in measured.seconds.values())
    assert set(measured.start_up) == set(measured.seconds)
    assert set(measured.settings) == {"b/2", "c"}
    assert {one["steps_per_execution"] for one in measured.settings.values()} <= {1, 2}
    assert all(f"{name}, turn 2 of 2" in shown for name in measured.seconds)
    found = figures(size, measured, (5,))
    assert set(found["totals"]) == trained
    assert found["ratios"]["2"]["a over b, 5 epochs"] == pytest.approx(
        found["totals"]["b/2"]["5"] / found["totals"]["a/2"]["5"]
    )


@pytest.mark.slow
def test_both_sides_have_one_loss(run_directory: RunDirectory) -> None:
    """Else they would not do the same work."""
    subject = prepare(TINY, run_directory, rows=64, teachers=2)
    for name in subject.teachers:
        score(name, f"teachers/{name}", subject.teacher, subject.run, lambda event: None)
    rows = rows_of(subject)
    job = subject.job("student", 1, subject.teachers)
    reader = Reader(subject.run, subject.manifest.of("train"), subject.manifest.inputs, job.logits)
    teachers_BNC = np.concatenate([shard["teacher_logits"] for shard in reader.all()])
    distiller = distiller_of(subject, subject.teachers)
    distiller.compile(loss=_hard)
    logits_BC = distiller(rows.inputs)
    theirs = distiller.compute_loss(rows.inputs, tf.constant(rows.labels), logits_BC)
    settings = job.alpha, job.temperature
    ours = job.objective(tf.constant(rows.labels), logits_BC[:, None], tf.constant(teachers_BNC), *settings)
    assert job.objective == Objective("kl", average=True, space="logits")
    assert job.temperature == TEMPERATURE
    np.testing.assert_allclose(float(theirs), float(tf.reduce_mean(ours)), rtol=2e-3)  # Cached logits are float16.


def _hard(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def test_cases_are_named() -> None:
    assert list(cases_named(None)) == ["mlp", "transformer"]
    assert list(cases_named(["mlp"])) == ["mlp"]
    with pytest.raises(InputError, match="found cnn, expected mlp or transformer"):
        cases_named(["cnn"])
