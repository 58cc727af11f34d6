"""The examples that every training here reads."""

import pytest
from small import write_examples

from raykd.artifacts import RunDirectory
from raykd.data.shards import Manifest


@pytest.fixture
def manifest(run_directory: RunDirectory) -> Manifest:
    return write_examples(run_directory)
