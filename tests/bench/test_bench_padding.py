"""The padding benchmark: both cases train, and what the ratio is of."""

from pathlib import Path

import pytest
from tiny_presets import hugging_face_bert

from raykd.bench.padding import measure, summary
from raykd.loading import load_config


def test_summary_compares_medians() -> None:
    found = summary({"bucketed": [30.0, 33.0, 90.0], "padded": [20.0, 22.0, 5.0]})
    assert found["bucketed over padded"] == pytest.approx(33 / 20)


@pytest.mark.slow
def test_short_texts_train_faster_where_they_are_not_padded(local_ray: None, tmp_path: Path) -> None:
    preset = hugging_face_bert(tmp_path / "preset")
    model = f"{{type: pretrained, preset: {preset}}}"
    overrides = [
        "data.labelled=300", "data.unlabelled=0", "data.max_length=40", "data.bucket=4",
        "teachers=[{name: a, training: {batch_size: 16, jit_compile: false}}]",
        f"teacher_defaults.model={model}", f"student.model={model}",
    ]  # fmt: skip
    shown: list[str] = []
    rates = measure(load_config("quickstart", overrides), 2, 2, lambda case, rate: shown.append(case))
    assert shown == [f"{case}, repeat {turn} of 2" for turn in (1, 2) for case in ("bucketed", "padded")]
    assert min(rate for case in rates.values() for rate in case) > 0
