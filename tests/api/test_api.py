"""raykd without YAML, as a notebook uses it."""

import doctest
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import ray.data

import raykd
import raykd.api
from raykd.api import Ensemble, LogitsStore, Student, Teacher, distill
from raykd.errors import InputError

FAST = {"batch_size": 16, "learning_rate": 2e-2, "patience": 12, "jit_compile": False}
STAGES = {"stage1": {**FAST, "epochs": 4}, "stage2": {**FAST, "epochs": 12}}


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    """Images of 2 x 2 pixels, bright on the left or on the right."""
    rng = np.random.default_rng(0)
    labels = (np.arange(240) % 2).astype(np.int32)
    images = rng.normal(size=(240, 2, 2)).astype(np.float32)
    images[np.arange(240), :, labels] += 2.0
    return {"image": images, "label": labels}


def _teacher(data: dict[str, Any], name: str, seed: int) -> Teacher:
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(16, "relu"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data["image"][..., None], data["label"], epochs=6, verbose=0)
    return Teacher(name, model)


@pytest.fixture(scope="module")
def store(local_ray: None, data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> LogitsStore:
    folder = str(tmp_path_factory.mktemp("api") / "store")
    made = LogitsStore(folder, data, columns={"features": "image"}, streams=2)
    for seed, name in enumerate(("a", "b")):
        made.add(_teacher(data, name, seed))
    return made


def _body() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten(), keras.layers.Dense(3, "relu")])


def test_the_story_in_the_documentation_runs(local_ray: None) -> None:
    tried = doctest.testmod(raykd.api)
    assert tried.failed == 0
    assert tried.attempted > 15


def test_teachers_score_once_and_a_store_opens_again(store: LogitsStore, data: dict[str, Any]) -> None:
    assert store.teachers == ("a", "b")
    rows = store.examples("train")
    teacher = _teacher(data, "a", 0)
    np.testing.assert_allclose(store.logits("a", "train"), teacher.logits(rows["inputs"]), rtol=2e-3, atol=2e-3)
    shards = {path: path.stat().st_mtime_ns for path in Path(store.run.path("logits/a")).rglob("*.parquet")}
    again = LogitsStore(store.run.path())
    again.add(teacher)
    assert {path: path.stat().st_mtime_ns for path in shards} == shards
    assert again.manifest == store.manifest
    with pytest.raises(InputError, match=r"teacher_weights: found .*, expected"):
        again.add(_teacher(data, "a", 9))
    again.add(teacher)


def test_the_same_data_again_keeps_the_examples(local_ray: None, store: LogitsStore, data: dict[str, Any]) -> None:
    done = Path(store.run.path("examples/done.json")).stat().st_mtime_ns
    LogitsStore(store.run.path(), data, columns={"features": "image"}, streams=2)
    assert Path(store.run.path("examples/done.json")).stat().st_mtime_ns == done


@pytest.mark.parametrize(
    ("recipe", "teachers", "heads"),
    [
        ("many_on_one", None, 3),
        ("plain", None, 1),
        pytest.param("one_on_one", ["b"], 1, marks=pytest.mark.slow),
        pytest.param("one_avg_on_one", None, 1, marks=pytest.mark.slow),
    ],
)
def test_students_of_every_recipe_learn(
    store: LogitsStore, data: dict[str, Any], recipe: Any, teachers: list[str] | None, heads: int
) -> None:
    body = _body()
    before = [value.copy() for value in body.get_weights()]
    training = {**FAST, "epochs": 12}
    student = distill(Student("s", body), store, recipe=recipe, teachers=teachers, training=training, **STAGES)
    assert student.trained.output.shape[1:] == (heads, 2)
    test = store.examples("test")
    assert (student.predict(test["inputs"]).argmax(axis=1) == test["label"]).mean() > 0.85
    assert all((old == new).all() for old, new in zip(before, body.get_weights(), strict=True))
    again = distill(Student("s", body), store, recipe=recipe, teachers=teachers, training=training, **STAGES)
    np.testing.assert_array_equal(again.predict(data["image"][:5]), student.predict(data["image"][:5]))


def test_a_student_starts_from_its_own_weights(store: LogitsStore) -> None:
    still = {"stage1": {"epochs": 0}, "stage2": {**FAST, "epochs": 1, "learning_rate": 1e-12}}
    body = _body()
    student = distill(Student("still", body), store, **still)
    kernel = next(weight for weight in student.trained.weights if weight.shape == (4, 3))
    np.testing.assert_allclose(kernel.numpy(), body.get_weights()[0], atol=1e-6)


def test_an_ensemble_averages_and_reads_any_data(store: LogitsStore, data: dict[str, Any]) -> None:
    teachers = [_teacher(data, name, seed) for seed, name in enumerate(("a", "b"))]
    flat = data["image"].reshape(240, 4)
    expected = np.mean([teacher.predict(flat) for teacher in teachers], axis=0)
    np.testing.assert_allclose(Ensemble(teachers).predict(flat), expected, atol=1e-12)
    weighted = Ensemble(teachers, [0.25, 0.75]).predict(flat)
    np.testing.assert_allclose(weighted, 0.25 * teachers[0].predict(flat) + 0.75 * teachers[1].predict(flat))
    for dataset in (
        ray.data.from_numpy(flat),
        pd.DataFrame({"data": list(flat)}),
    ):
        np.testing.assert_allclose(Ensemble(teachers).predict(dataset, "data"), expected, atol=1e-6)
    validation = store.examples("validation")
    fitted = Ensemble(teachers).fitted(validation["inputs"], validation["label"])
    assert sum(fitted.weights or ()) == pytest.approx(1.0)


def test_probabilities_become_logits() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
    teacher = Teacher("p", model, gives="probabilities")
    logits = teacher.logits(np.log(np.array([[0.25, 0.75]], np.float32)))
    np.testing.assert_allclose(logits, np.log([[0.25, 0.75]]), atol=1e-6)
    np.testing.assert_allclose(teacher.probabilities(np.log([[0.25, 0.75]])), [[0.25, 0.75]], atol=1e-6)


def test_a_student_reads_many_rows_some_at_a_time() -> None:
    inputs = keras.Input((4,))
    heads = keras.layers.Reshape((2, 3))(keras.layers.Dense(6)(inputs))
    seen: list[int] = []

    class Counted(keras.Model):
        def call(self, rows: Any, training: bool = False) -> Any:
            seen.append(len(rows))
            return super().call(rows, training=training)

    student = Student("s", keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten()]), Counted(inputs, heads))
    rows = np.random.default_rng(0).normal(size=(600, 2, 2)).astype(np.float32)
    seen.clear()
    found = student.probabilities(rows)
    assert seen == [256, 256, 88]
    np.testing.assert_allclose(found[500:], student.probabilities(rows[500:]), atol=1e-6)
    assert student.probabilities(rows[:0]).shape == (0, 3)


@pytest.mark.slow
def test_the_whole_job_on_arrays(local_ray: None, data: dict[str, Any], tmp_path: Path) -> None:
    training = {"epochs": 6, "batch_size": 16, "learning_rate": 1e-2, "jit_compile": False}
    config = {
        "name": "arrays",
        "storage_path": str(tmp_path),
        "data": {"columns": {"features": "image"}},
        "teachers": [{"name": "a", "model": {"type": "mlp", "hidden": [16]}, "training": training}],
        "student": {"model": {"type": "mlp", "hidden": [4]}, "training": training},
        "distill": {"recipes": ["plain"]},
    }
    named = {"train": {**data, "label": np.array(["left", "right"])[data["label"]]}}
    evaluation = raykd.run(config, data=named)
    assert {model["name"] for model in evaluation["models"]} == {"teacher/a", "teacher_ensemble", "student/plain"}
    assert all(model["accuracy"] > 0.8 for model in evaluation["models"])
    done = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("done.json")}
    assert raykd.run(config, data=named) == evaluation
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_what_cannot_be(store: LogitsStore) -> None:
    wide = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="teacher u: found a model whose outputs are not known yet"):
        Teacher("u", keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(InputError, match="teacher w: gives 3 classes, but the examples have 2"):
        store.add(Teacher("w", wide))
    with pytest.raises(InputError, match=r"student: reads \(5,\), but an example has 4 numbers"):
        distill(Student("s", keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])), store)
    with pytest.raises(InputError, match=r"teachers: z has not scored the store; found a, b; add it with store\.add"):
        distill(Student("s", _body()), store, teachers=["z"])
    with pytest.raises(InputError, match=r"teachers: found a, b, expected one for one_on_one; name them"):
        distill(Student("s", _body()), store, recipe="one_on_one")
    with pytest.raises(InputError, match=r"store: distill\.alhpa: unknown key; did you mean alpha"):
        distill(Student("s", _body()), store, alhpa=1.0)
    with pytest.raises(InputError, match="no store is there; give data to make one"):
        LogitsStore(store.run.path("nowhere"))
    with pytest.raises(RuntimeError, match="student s is not trained"):
        Student("s", _body()).predict(np.zeros((1, 4)))
    with pytest.raises(AttributeError, match="has no attribute teacher; it has Ensemble, LogitsStore"):
        raykd.api.teacher  # noqa: B018
