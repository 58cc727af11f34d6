"""One device, two mirrored devices and two workers train to the same weights."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import ray
import ray.train
from bodies import batch_normalised
from ray.train import RunConfig
from ray.train.tensorflow import TensorflowTrainer
from small import IMITATION, ignore, small_job

from raykd.artifacts import RunDirectory, logits_folder
from raykd.config import CustomModelConfig, MLPConfig, ScalingConfig, TrainingConfig
from raykd.data.selection import Selection
from raykd.data.shards import read_manifest
from raykd.losses import Objective
from raykd.train.checkpoint import load_weights, save_weights, values_of
from raykd.train.job import TrainJob
from raykd.train.launch import launch
from raykd.train.strategy import Place, strategy_named

TOLERANCE = {
    "sgd": 1e-5,
    "adamw_xla": 1e-4,
    "accumulated": 1e-5,
    "batch_normalised": 1e-5,
    "streamed": 1e-5,
    "stopped_early": 1e-5,
    "whole_batch": 1e-5,
    "imitating": 1e-5,
    "mixed": 1e-5,
    "selected": 1e-5,
    "unequal_parts": 1e-5,
}
MORE = (
    "streamed",
    "whole_batch",
    "imitating",
    "mixed",
    "selected",
    "unequal_parts",
)  # only where asked for
CASES = [pytest.param(case, marks=pytest.mark.slow) if case in MORE else case for case in TOLERANCE]


def _jobs(kind: str) -> dict[str, TrainJob]:
    """50 steps each and more; the last of every epoch has 5 rows of 16, 3 of one worker and 2 of the other."""
    base = {"epochs": 10, "batch_size": 16, "patience": 10, "jit_compile": False, "steps_per_call": 4}
    sgd = {**base, "optimizer": "sgd", "learning_rate": 0.1}
    training = {
        "sgd": sgd,
        "adamw_xla": {**base, "learning_rate": 0.01, "jit_compile": True},
        "accumulated": {**sgd, "accumulate": 2},
        "batch_normalised": sgd,
        "streamed": {**sgd, "epochs": 15},
        "stopped_early": {**sgd, "learning_rate": 3.0, "patience": 1},
        "whole_batch": {**sgd, "jit_compile": True},
        "imitating": sgd,
        "selected": sgd,
        "unequal_parts": {**sgd, "batch_size": 18},
        "mixed": {**sgd, "accumulate": 2, "augment": {"mixup": 0.5}},
    }
    plain = MLPConfig(type="mlp", hidden=[8])
    jobs = {}
    for name, values in training.items():
        job = small_job(f"{kind}/{name}", training=TrainingConfig(**values), keep_best=name == "stopped_early")
        model = CustomModelConfig(type="bodies:batch_normalised") if name == batch_normalised.__name__ else plain
        changes = {"streamed": {"cache": "none"}, "unequal_parts": {"streams": 3}}
        data = job.data.model_copy(update=changes.get(name, {}))
        if name in ("whole_batch", "unequal_parts"):
            # Its correlations are of columns, over the rows of all replicas. One worker may have twice the other's.
            job = replace(job, objective=Objective("dist"), logits=(logits_folder("a"),), alpha=0.8)
        if name == "selected":
            # Of the unlabelled rows some have weight 0, the others more or less than 1.
            splits, selection = ("train", "unlabelled"), Selection(0.7, class_weights=(0.5, 1.5))
            job = replace(job, splits=splits, logits=(logits_folder("a"),), temperature=1.0, selection=selection)
        hidden = IMITATION if name == "imitating" else None
        jobs[name] = replace(job, model=replace(job.model, config=model), data=data, hidden=hidden)
    return jobs


def _train_all(run: RunDirectory, kind: str, place: Place, cases: Sequence[str]) -> None:
    from raykd.train.loop import train
    from raykd.train.program import program_for

    for job in map(_jobs(kind).__getitem__, cases):
        train(job, run, read_manifest(run), place, ignore)
        save_weights(run, f"{job.folder}/rank-{place.rank}", values_of(program_for(job, place).model.variables))


@ray.remote(max_calls=1, num_cpus=0.5)
def _mirrored(run: RunDirectory, cases: Sequence[str]) -> None:
    import tensorflow as tf

    [processor] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    _train_all(run, "mirrored", Place(strategy_named("mirrored")), cases)


def _on_two_workers(run: RunDirectory, cases: Sequence[str]) -> None:
    def work() -> None:
        context = ray.train.get_context()
        strategy = strategy_named("multi_worker_mirrored")
        _train_all(run, "workers", Place(strategy, context.get_world_rank(), context.get_world_size()), cases)

    scaling = ray.train.ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1})
    TensorflowTrainer(work, scaling_config=scaling, run_config=RunConfig(storage_path=run.root, name="ray")).fit()


@pytest.fixture(scope="module")
def trained_together(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunDirectory]:
    """Trains some cases in every way, once."""
    from small import write_examples, write_teacher

    @cache
    def train(*cases: str) -> RunDirectory:
        run = RunDirectory.at(str(tmp_path_factory.mktemp("parity")), "run")
        write_examples(run)
        write_teacher(run)
        mirrored = _mirrored.remote(run, cases)  # meanwhile
        for job in map(_jobs("one").__getitem__, cases):
            launch(job, run, ignore, ScalingConfig())
        ray.get(mirrored)
        _on_two_workers(run, cases)
        return run

    return train


@pytest.fixture
def trained(trained_together: Callable[..., RunDirectory], request: pytest.FixtureRequest) -> RunDirectory:
    case = request.node.callspec.params["case"] if hasattr(request.node, "callspec") else "sgd"
    return trained_together(*(other for other in TOLERANCE if (other in MORE) == (case in MORE)))


@pytest.mark.parametrize("kind", ["mirrored", "workers"])
@pytest.mark.parametrize("case", CASES)
def test_weights_equal_those_of_one_device(trained: RunDirectory, kind: str, case: str) -> None:
    expected, found = (load_weights(trained, f"{where}/{case}") for where in ("one", kind))
    for one, several in zip(expected, found, strict=True):
        np.testing.assert_allclose(several, one, rtol=0, atol=TOLERANCE[case])


@pytest.mark.parametrize("case", CASES)
def test_both_ranks_end_with_the_same_bits(trained: RunDirectory, case: str) -> None:
    first, second = (load_weights(trained, f"workers/{case}/rank-{rank}") for rank in (0, 1))
    assert [value.tobytes() for value in first] == [value.tobytes() for value in second]


def test_accumulated_parts_equal_the_whole_batch(trained: RunDirectory) -> None:
    for whole, parts in zip(load_weights(trained, "one/sgd"), load_weights(trained, "one/accumulated"), strict=True):
        np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-5)


def test_all_workers_stop_early_together(trained: RunDirectory) -> None:
    epochs = [len(trained.read_json(f"{where}/stopped_early/history.json")) for where in ("one", "workers")]
    assert epochs[0] == epochs[1] < 10


@pytest.mark.parametrize("case", CASES)
def test_validation_is_that_of_one_device(trained: RunDirectory, case: str) -> None:
    expected, found = (trained.read_json(f"{where}/{case}/history.json") for where in ("one", "workers"))
    for one, several in zip(expected, found, strict=True):
        assert several["validation_loss"] == pytest.approx(one["validation_loss"], abs=1e-4)
        assert several["train_loss"] == pytest.approx(one["train_loss"], abs=1e-4)
