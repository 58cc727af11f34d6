"""One Ray and one whole digits run for the test session."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import run_small

from raykd.artifacts import RunDirectory
from raykd.cluster import connect
from raykd.config import Config
from raykd.loading import load_config


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    # Ray's workers find the tests' own modules as they would a user's: on PYTHONPATH.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "train"), prepend=os.pathsep)
        with connect(None, verbose=False):
            yield


@pytest.fixture(scope="session")
def digits_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    storage = tmp_path_factory.mktemp("runs")
    return load_config("digits", [f"storage_path={storage}"])


@pytest.fixture(scope="session")
def digits_run(digits_config: Config, local_ray: None) -> tuple[RunDirectory, dict[str, Any]]:
    """The finished run of the packaged digits job, and its evaluation."""
    from raykd.pipeline import run

    evaluation = run(digits_config)
    return RunDirectory.at(digits_config.storage_path, digits_config.name), evaluation


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run of the small job, on this machine's disk, as a user runs it."""
    storage = tmp_path_factory.mktemp("small")
    run_small(str(storage))
    return storage / "small"


@pytest.fixture
def run_directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.at(str(tmp_path), "run")
