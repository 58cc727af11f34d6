"""The feed's benchmark: every case delivers the same rows, and the summary compares them."""

import numpy as np
import pytest

from raykd.artifacts import RunDirectory
from raykd.bench import feed
from raykd.bench.examples import write_examples


def test_every_case_is_measured(local_ray: None) -> None:
    shown: list[str] = []
    size = feed.Size(rows=1000, batch_size=64, shard_rows=64, repeats=1)
    rates = feed.measure(size, lambda case, rate: shown.append(case))
    assert set(rates) == {"TFRecord", "Parquet, cold", "cached"}
    assert len(shown) == 3
    assert all(rate > 0 for values in rates.values() for rate in values)


def test_tfrecord_files_hold_the_rows_of_the_shards(run_directory: RunDirectory) -> None:
    from pathlib import Path

    from raykd.data.reader import Reader

    manifest = write_examples(run_directory, {"train": 50}, feed.LENGTH, shards=8)
    files = feed.write_tfrecords(run_directory, manifest, Path(run_directory.path("tfrecord")))
    batches = list(feed.tfrecord_dataset(files, 16).as_numpy_iterator())
    found = np.concatenate([batch["inputs"] for batch in batches])
    shards = list(Reader(run_directory, manifest.of("train"), manifest.inputs).all())
    expected = np.concatenate([shard["inputs"] for shard in shards])
    assert sorted(map(tuple, found)) == sorted(map(tuple, expected))


def test_summary_compares_medians() -> None:
    found = feed.summary({"TFRecord": [10.0, 20.0, 30.0], "Parquet, cold": [40.0], "cached": [100.0]})
    assert found["Parquet, cold over TFRecord"] == pytest.approx(2.0)
    assert found["cached over TFRecord"] == pytest.approx(5.0)
