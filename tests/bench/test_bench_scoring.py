"""The scoring benchmark: every case scores every row, and what the ratios are of."""

import pytest

from raykd.bench.scoring import measure, summary
from raykd.errors import InputError
from raykd.loading import load_config


def test_summary_compares_medians() -> None:
    rates = {
        "mixed lengths, raykd": [30.0, 33.0, 90.0], "mixed lengths, model.predict": [20.0, 22.0, 5.0],
        "equal lengths, raykd": [10.0], "equal lengths, model.predict": [10.0],
    }  # fmt: skip
    found = summary(rates)
    assert found["mixed lengths: raykd over model.predict"] == pytest.approx(33 / 20)
    assert found["equal lengths: raykd over model.predict"] == 1.0


def test_rows_that_are_no_texts_are_refused(local_ray: None) -> None:
    with pytest.raises(InputError, match="found no texts or no teacher"):
        measure(load_config("digits", []), 1, 1, lambda case, rate: None)


@pytest.mark.slow
def test_both_score_texts_of_mixed_and_of_equal_lengths(local_ray: None) -> None:
    overrides = [
        "data.labelled=300", "data.unlabelled=0", "data.max_length=40", "data.bucket=8",
        "teachers=[{name: a, model: {type: cross_encoder, layers: 1, width: 32}, training: {jit_compile: false}}]",
    ]  # fmt: skip
    shown: list[str] = []
    rates = measure(load_config("quickstart", overrides), 1, 2, lambda case, rate: shown.append(case))
    assert shown == [f"{case}, repeat 1 of 1" for case in rates]
    assert len(rates) == 4
    assert min(rate for case in rates.values() for rate in case) > 0
