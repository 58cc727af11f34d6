"""The benchmark of arithmetic: what is counted, and that every case is measured."""

import pytest

from raykd.bench.arithmetic import PRODUCT, Size, measure, summary, training_flops
from raykd.bench.examples import VOCABULARY
from raykd.config import CrossEncoderConfig
from raykd.data.encoding import InputSpec
from raykd.models.build import ModelSpec


def test_operations_of_a_row_are_those_of_its_products() -> None:
    length, width = 64, 32
    config = CrossEncoderConfig(type="cross_encoder", layers=2, width=width)
    spec = ModelSpec(config, InputSpec("tokens", length, "int32", VOCABULARY), classes=2)
    products = 3 * width * width + width * width + 2 * 4 * width * width
    attention = 2 * length * width + 2 * length * width
    forward = length * 2 * (2 * products + attention)
    # Biases, norms and the head are counted too, once per token: they are small.
    assert training_flops(spec, 2, width, length) == pytest.approx(3 * forward, rel=0.05)


def test_summary_compares_medians() -> None:
    found = summary({"4 x 256": [60.0, 10.0, 65.0], "2 x 128": [50.0], PRODUCT: [90.0, 120.0, 120.0]})
    assert found[f"4 x 256 over {PRODUCT}"] == pytest.approx(0.5)
    assert found[f"2 x 128 over {PRODUCT}"] == pytest.approx(50 / 120)


@pytest.mark.slow
def test_every_case_is_measured(local_ray: None) -> None:
    shown: list[str] = []
    rates = measure(Size(batch_size=8, steps=2, repeats=1), lambda case, rate: shown.append(case))
    assert shown == [f"{case}, repeat 1 of 1" for case in (PRODUCT, "4 x 256", "2 x 128")]
    assert min(rate for case in rates.values() for rate in case) > 0
