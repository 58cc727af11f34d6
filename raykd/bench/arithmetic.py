"""`raykd bench arithmetic`: how near a training comes to what this processor's threads can multiply at best.

Cross-encoders train on pairs of 64 tokens, in turns with a product of two matrices of 2048 x 2048 numbers, all float32
and on the same threads. A training's operations are those of its model alone; whatever else a step does, from reading
to the optimizer, is in its time and not in its count.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.bench.cross_encoder import cross_encoder_job
from raykd.bench.examples import write_examples
from raykd.config import ScalingConfig, TrainingConfig
from raykd.models.build import ModelSpec, flops_per_position
from raykd.train.launch import launch

LENGTH = 64
MODELS = ((4, 256), (2, 128))  # layers and width
PRODUCT = "matrix product"
_SIDE = 2048
_WARM_EPOCHS, _EPOCHS = 1, 2
_PRODUCTS = 5  # in a turn


@dataclass(frozen=True)
class Size:
    """How much is measured. Args: steps: of an epoch; a turn counts two epochs of each model."""

    batch_size: int = 64
    steps: int = 16
    repeats: int = 3


Rates = dict[str, list[float]]
"""Billions of operations per second of every turn, by case."""


def measure(size: Size, show: Callable[[str, float], None]) -> Rates:
    """Train each model and multiply, alternating; the first turn, in which steps are compiled, doesn't count.

    Args: show: gets each turn's rate as soon as it is known.
    """
    rates: Rates = {case: [] for case in [*map(_name, MODELS), PRODUCT]}
    with tempfile.TemporaryDirectory(prefix="raykd-bench-") as folder:
        run = RunDirectory(folder)
        manifest = write_examples(run, {"train": size.batch_size * size.steps, "validation": 16}, LENGTH, shards=8)
        for turn in range(size.repeats + 1):
            found = {PRODUCT: _multiplied()}
            for layers, width in MODELS:
                training = TrainingConfig(epochs=_WARM_EPOCHS + _EPOCHS, batch_size=size.batch_size)
                job = cross_encoder_job(f"{layers}x{width}/{turn}", layers, width, manifest, training)
                launch(job, run, _ignore, ScalingConfig())
                later = run.read_json(f"{job.folder}/history.json")[_WARM_EPOCHS:]
                rows = statistics.median(epoch["examples_per_second"] for epoch in later)
                found[_name((layers, width))] = rows * training_flops(job.model, layers, width, LENGTH)
            for case, rate in found.items() if turn else ():
                rates[case].append(rate / 1e9)
                show(f"{case}, repeat {turn} of {size.repeats}", rate / 1e9)
    return rates


def summary(rates: Rates) -> dict[str, float]:
    """Medians, and each training's share of the product's."""
    medians = {case: statistics.median(values) for case, values in rates.items()}
    shares = {f"{case} over {PRODUCT}": medians[case] / medians[PRODUCT] for case in map(_name, MODELS)}
    return medians | shares


def training_flops(spec: ModelSpec, layers: int, width: int, length: int) -> int:
    """Floating-point operations of a training step, per row of `length` tokens.

    Forward 2 N per token, N the weights that multiply, and in each layer 4 L W for the products of attention (query
    with key, weights with value); the backward pass takes twice as many: 3 L (2 N + 4 layers L W). Norms, softmax,
    GELU, look-ups and the optimizer aren't counted.
    Source: Kaplan et al. 2020, section 2.1, with attention's products counted in full.
    """
    return 3 * length * (flops_per_position(spec) + 4 * layers * length * width)


def _multiplied() -> float:
    """Operations per second of a matrix product, the median of some."""
    left, right = (tf.random.stateless_normal((_SIDE, _SIDE), seed=(0, number)) for number in range(2))
    seconds = []
    for _ in range(_PRODUCTS + 1):
        begun = time.perf_counter()
        tf.matmul(left, right).numpy()
        seconds.append(time.perf_counter() - begun)
    return 2 * _SIDE**3 / statistics.median(seconds[1:])


def _name(model: tuple[int, int]) -> str:
    return f"{model[0]} x {model[1]}"


def _ignore(event: dict[str, Any]) -> None:
    """Nothing is shown while a training runs."""
