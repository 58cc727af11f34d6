"""Weights and checkpoints come back as they were, or not at all."""

import numpy as np
import pytest

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.train.checkpoint import (
    WEIGHTS,
    Checkpoint,
    Progress,
    checkpoint_path,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)

VALUES = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((), np.float32)]


def test_weights_and_checkpoints_come_back(run_directory: RunDirectory) -> None:
    save_weights(run_directory, "students/s", VALUES)
    for found, value in zip(load_weights(run_directory, "students/s"), VALUES, strict=True):
        np.testing.assert_array_equal(found, value)
    save_checkpoint(run_directory, "students/s", Checkpoint(Progress(step=7), VALUES, [], VALUES[:1]), keep=1)
    found = load_checkpoint(run_directory, "students/s", 7)
    assert (found.progress.step, len(found.model), len(found.optimizer), len(found.best)) == (7, 2, 0, 1)


@pytest.mark.parametrize("damage", [lambda content: content[:-40], lambda content: b"", lambda content: b"PK\3\4 no"])
def test_a_damaged_archive_is_told_with_what_to_delete(run_directory: RunDirectory, damage) -> None:
    run_directory.begin("students/s", "settings")
    save_weights(run_directory, "students/s/stage1", VALUES)
    save_checkpoint(run_directory, "students/s", Checkpoint(Progress(step=7), VALUES, VALUES, VALUES), keep=1)
    for path in (f"students/s/stage1/{WEIGHTS}", checkpoint_path("students/s", 7)):
        run_directory.write_bytes(path, damage(run_directory.read_bytes(path)))
    loads = (
        (lambda: load_weights(run_directory, "students/s/stage1")),
        (lambda: load_checkpoint(run_directory, "students/s", 7)),
    )
    for load in loads:
        with pytest.raises(InputError, match=r"found no complete archive .*delete .*/students/s and run again"):
            load()
