"""Training on hidden states: they come nearer to the teacher's; projections resume and go from stage to stage."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small import IMITATION, TEACHER, ignore, small_job, write_teacher

from raykd.artifacts import EXAMPLES, RunDirectory
from raykd.config import CrossEncoderConfig, ModelConfig, ScalingConfig, TrainingConfig
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.distill.logits import score
from raykd.distill.recipes import MANY_ON_MANY, Student
from raykd.distill.stages import model_spec, train_student, train_teacher
from raykd.hidden_losses import attention_relation, cosine, mse
from raykd.loading import parse_config
from raykd.models.build import ModelSpec, build
from raykd.models.hidden import HiddenStates
from raykd.train.checkpoint import Values, assign, load_weights, save_weights, values_of
from raykd.train.job import HiddenLoss, Trained, TrainJob
from raykd.train.launch import launch

TOKENS = InputSpec("tokens", length=16, dtype="int32", vocabulary=40, bucket=8)
ROWS = 96
STILL = TrainingConfig(epochs=1, batch_size=16, learning_rate=1e-12, weight_decay=0.0, jit_compile=False)


def _pairs(rows: int) -> tuple[list[Any], Any]:
    """Pairs of short texts; label 1 where a word of the first stands in the second."""
    generator = np.random.default_rng(0)
    inputs, labels = [], []
    for _ in range(rows):
        first, second = (generator.integers(4, 40, size=generator.integers(2, 6)) for _ in range(2))
        inputs.append(np.array([2, *first, 3, *second, 3], np.int32))
        labels.append(int(bool(set(first) & set(second))))
    return inputs, np.array(labels, np.int32)


@pytest.fixture
def texts(run_directory: RunDirectory) -> Manifest:
    inputs, labels = _pairs(ROWS)
    shards = []
    for split, rows in (("train", np.arange(64)), ("validation", np.arange(64, ROWS))):
        for index, ids in enumerate(np.split(rows, 2)):
            shards.append(Shard(split, index, len(ids), hash_ids(ids)))
            columns = {"example_id": ids, "label": labels[ids], "inputs": [inputs[row] for row in ids]}
            write_table(run_directory, f"{EXAMPLES}/{shards[-1].name}", columns)
    manifest = Manifest(2, TOKENS, tuple(shards))
    manifest.save(run_directory)
    return manifest


def _model(layers: int, width: int, heads: int) -> ModelConfig:
    return CrossEncoderConfig(type="cross_encoder", layers=layers, width=width, heads=heads)


def _padded() -> Any:
    ids = np.zeros((ROWS, TOKENS.length), np.int32)
    for row, tokens in enumerate(_pairs(ROWS)[0]):
        ids[row, : len(tokens)] = tokens
    return ids


def _states(spec: ModelSpec, values: Values, attention: bool) -> Any:
    model = build(spec, seed=0)
    assign(model.variables, values, "test")
    return HiddenStates(model, attention=attention)(_padded(), training=False)


def _attentive(spec: ModelSpec) -> Values:
    """Larger weights than fresh ones, so that it attends to some tokens more than to others."""
    model = build(spec, seed=7)
    for weight in model.weights:
        weight.assign(4 * weight)
    return values_of(model.variables)


CASES: dict[str, tuple[ModelConfig, Callable[[Any, Any], Any]]] = {
    "cosine": (_model(1, 16, 2), lambda teacher, student: cosine(teacher.states, student.states, student.mask)),
    "attention_relation": (
        _model(1, 8, 2),
        lambda teacher, student: attention_relation(teacher.attention, student.attention, student.mask),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "compiled"), [("cosine", False), ("attention_relation", True)])
def test_hidden_states_come_nearer_to_the_teachers(
    local_ray: None, run_directory: RunDirectory, texts: Manifest, loss: str, compiled: bool
) -> None:
    config, measure = CASES[loss]
    teacher = Trained("teachers/t", ModelSpec(_model(1, 16, 2), TOKENS, classes=2))
    save_weights(run_directory, teacher.folder, _attentive(teacher.model))
    training = TrainingConfig(epochs=8, batch_size=16, learning_rate=0.01, jit_compile=compiled)
    student = ModelSpec(config, TOKENS, classes=2)
    job = small_job("student", model=student, training=training, keep_best=False)
    launch(replace(job, hidden=HiddenLoss(loss, 1.0, (teacher,))), run_directory, ignore, ScalingConfig())
    relates = loss == "attention_relation"
    wanted = _states(teacher.model, load_weights(run_directory, teacher.folder), relates)
    trained, fresh = (
        float(np.mean(measure(wanted, _states(student, values, relates))))
        for values in (load_weights(run_directory, "student"), values_of(build(student, job.seed).variables))
    )
    assert trained < 0.6 * fresh


def _imitating(folder: str, **changes: Any) -> TrainJob:
    return small_job(folder, hidden=IMITATION, keep_best=False, **changes)


def test_projected_states_come_nearer_to_a_narrower_teachers(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    write_teacher(run_directory)
    launch(_imitating("begun", training=STILL), run_directory, ignore, ScalingConfig())
    launch(_imitating("trained"), run_directory, ignore, ScalingConfig())
    rows = np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)
    wanted = _last_vectors(TEACHER.model, load_weights(run_directory, TEACHER.folder), rows)
    begun, trained = (
        _distance(wanted, small_job("").model, run_directory, folder, rows) for folder in ("begun", "trained")
    )
    assert trained < 0.5 * begun
    assert len(load_weights(run_directory, "trained")) == len(build(small_job("").model, 0).variables)


def _distance(wanted: Any, spec: ModelSpec, run: RunDirectory, folder: str, rows: Any) -> float:
    [projection] = load_weights(run, f"{folder}/projections")
    assert projection.shape == (8, 5)
    states = _last_vectors(spec, load_weights(run, folder), rows)
    return float(np.mean(mse(wanted, states @ projection, np.ones((len(rows), 1), bool))))


def _last_vectors(spec: ModelSpec, values: Values, rows: Any) -> Any:
    model = build(spec, seed=0)
    assign(model.variables, values, "test")
    return HiddenStates(model)(rows, training=False).states.numpy()


class _StopError(Exception):
    pass


def test_resumed_imitation_equals_uninterrupted_imitation(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["epoch"] == 2:
            raise _StopError

    write_teacher(run_directory)
    launch(_imitating("whole"), run_directory, ignore, ScalingConfig())
    with pytest.raises(_StopError):
        launch(_imitating("cut"), run_directory, stop, ScalingConfig())
    launch(small_job("other"), run_directory, ignore, ScalingConfig())
    launch(_imitating("cut"), run_directory, ignore, ScalingConfig())
    for part in ("", "/projections"):
        whole, cut = (load_weights(run_directory, f"{folder}{part}") for folder in ("whole", "cut"))
        assert all(np.array_equal(one, other) for one, other in zip(whole, cut, strict=True))


def test_the_next_stage_goes_on_with_the_projection(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    write_teacher(run_directory)
    launch(_imitating("first"), run_directory, ignore, ScalingConfig())
    launch(_imitating("second", initial="first", training=STILL), run_directory, ignore, ScalingConfig())
    [first], [second] = (load_weights(run_directory, f"{folder}/projections") for folder in ("first", "second"))
    np.testing.assert_allclose(second, first, atol=1e-6)


@pytest.mark.slow
def test_student_of_all_blocks_that_hardly_trains_predicts_as_its_teacher(
    local_ray: None, run_directory: RunDirectory, texts: Manifest
) -> None:
    model = {"type": "cross_encoder", "layers": 1, "width": 16, "heads": 2}
    still = {**STILL.model_dump(), "epochs": 1}
    config = parse_config({
        "data": {"streams": 2},
        "teachers": [{"name": "a", "model": model, "training": {**still, "learning_rate": 0.01}}],
        "student": {"model": model, "initialise": "first"},
        "distill": {"recipes": ["many_on_many"], "hidden": {"loss": "attention_relation"}, "stage1": still,
                    "stage2": still},
    })  # fmt: skip
    run_directory.finish("teachers/a", "", **train_teacher(config, "a", run_directory, ignore))
    spec = model_spec(config.teachers[0].model, texts)
    score("a", "teachers/a", spec, run_directory, ignore)
    train_student(config, Student(MANY_ON_MANY, ("a",)), run_directory, ignore)
    values = load_weights(run_directory, "students/many_on_many/a")
    student = _states(ModelSpec(config.student.model, TOKENS, classes=2), values, attention=False)
    teacher = _states(spec, load_weights(run_directory, "teachers/a"), attention=False)
    np.testing.assert_allclose(student.logits[:, 0], teacher.logits[:, 0], atol=1e-4)
