"""TensorBoard scalars of a training, published after every epoch on any filesystem."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import tensorflow as tf

from raykd.artifacts import RunDirectory

_NOT_SCALARS = {"epoch", "step"}


class ScalarLog:
    """Writes each epoch's record as TensorBoard events under `<folder>/tensorboard`."""

    def __init__(self, run: RunDirectory, folder: str, *, writes: bool = True) -> None:
        self._run = run
        self._writes = writes  # Of several workers, one does.
        self._target = f"{folder}/tensorboard"
        self._scratch = tempfile.TemporaryDirectory()
        self._writer = tf.summary.create_file_writer(self._scratch.name)

    def __enter__(self) -> "ScalarLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._scratch.cleanup()

    def write(self, record: dict[str, Any]) -> None:
        """Add one epoch's numbers, and publish."""
        with self._writer.as_default(step=record["step"]):
            for name, value in record.items():
                if name not in _NOT_SCALARS:
                    tf.summary.scalar(name, value)
        self._writer.flush()
        if not self._writes:
            return
        for file in Path(self._scratch.name).iterdir():
            self._run.write_bytes(f"{self._target}/{file.name}", file.read_bytes())
