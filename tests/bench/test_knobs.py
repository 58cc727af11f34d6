"""The knobs' benchmark: every case delivers its rows, and the expensive map leaves them as they are."""

import pytest

from raykd.artifacts import RunDirectory
from raykd.bench.examples import write_examples
from raykd.bench.knobs import CASES, ExpensiveReader, measure_knobs, medians
from raykd.data.reader import Reader


@pytest.mark.slow
def test_every_knob_is_measured(local_ray: None) -> None:
    rates = measure_knobs(rows=128, repeats=1, show=lambda case, rate: None)
    assert set(rates) == set(CASES)
    assert all(rate > 0 for values in rates.values() for rate in values)


def test_the_map_leaves_the_rows_as_they_are(run_directory: RunDirectory) -> None:
    manifest = write_examples(run_directory, {"train": 16}, 8, shards=2)
    shards = manifest.of("train")
    plain, mapped = (kind(run_directory, shards, manifest.inputs).table(0) for kind in (Reader, ExpensiveReader))
    assert mapped.equals(plain)


def test_medians_stand_beside_none() -> None:
    found = medians({"none": [10.0, 30.0, 20.0], "all": [60.0]})
    assert found == {"none": 20.0, "all": 60.0, "all over none": pytest.approx(3.0)}
