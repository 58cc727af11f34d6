"""Weights and checkpoints as NumPy archives: no pickle, one file, any filesystem."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.artifacts import RunDirectory
from raykd.errors import InputError

WEIGHTS = "weights.npz"
_CHECKPOINTS = "checkpoints"

Values = list[NDArray[Any]]


@dataclass
class Progress:
    """Where a training stands.

    `loss`, `rows`, `waited` and `seconds` are the sums of the epoch that is under way.
    """

    step: int = 0
    loss: float = 0.0
    rows: float = 0.0
    waited: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = -1
    best_loss: float = float("inf")

    def epochs_without_gain(self) -> int:
        """Epochs finished since the best one."""
        return len(self.history) - 1 - self.best_epoch


@dataclass
class Checkpoint:
    """All that is needed to go on as if nothing had happened."""

    progress: Progress
    model: Values
    optimizer: Values
    best: Values


def values_of(variables: Sequence[Any]) -> Values:
    """Copies of the variables' values."""
    return [variable.numpy().copy() for variable in variables]


def assign(variables: Sequence[Any], values: Values, source: str) -> None:
    """Set variables. Raises: InputError when number or shapes differ."""
    expected = [tuple(variable.shape) for variable in variables]
    found = [value.shape for value in values]
    if expected != found:
        raise InputError(f"{source}: its {len(found)} weights don't fit the model's {len(expected)}; train it again")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def save_weights(run: RunDirectory, folder: str, values: Values) -> None:
    """Publish a model's weights."""
    run.write_bytes(f"{folder}/{WEIGHTS}", _pack({"model": values}))


def load_weights(run: RunDirectory, folder: str) -> Values:
    """What `save_weights` wrote. Raises: FileNotFoundError, InputError for a damaged file."""
    return _unpack(run, f"{folder}/{WEIGHTS}", "model")[0]["model"]


def checkpoint_path(folder: str, step: int) -> str:
    """Path in the run directory of the checkpoint after so many steps."""
    return f"{folder}/{_CHECKPOINTS}/step-{step:08d}.npz"


def save_checkpoint(run: RunDirectory, folder: str, checkpoint: Checkpoint, keep: int) -> None:
    """Publish a checkpoint and drop all but the newest `keep`."""
    lists = {"model": checkpoint.model, "optimizer": checkpoint.optimizer, "best": checkpoint.best}
    path = checkpoint_path(folder, checkpoint.progress.step)
    run.write_bytes(path, _pack(lists, asdict(checkpoint.progress)))
    for old in checkpoints_in(run, folder)[:-keep]:
        run.delete(old)


def checkpoints_in(run: RunDirectory, folder: str) -> list[str]:
    """Paths of a training's checkpoints in the run directory, oldest first."""
    return [f"{folder}/{_CHECKPOINTS}/{name}" for name in run.names(f"{folder}/{_CHECKPOINTS}", ".npz")]


def step_of(path: str) -> int:
    """The step of a checkpoint's path, as `checkpoint_path` made it."""
    return int(path.rpartition("step-")[2].removesuffix(".npz"))


def reached(run: RunDirectory, folder: str) -> int:
    """The step of a training's newest checkpoint; 0 where there is none yet, -1 where it is finished and needs none."""
    kept = checkpoints_in(run, folder)
    return step_of(kept[-1]) if kept else -int(run.exists(f"{folder}/{WEIGHTS}"))


def load_checkpoint(run: RunDirectory, folder: str, step: int) -> Checkpoint:
    """What `save_checkpoint` wrote after so many steps. Raises: FileNotFoundError, InputError for a damaged file."""
    lists, progress = _unpack(run, checkpoint_path(folder, step), "model", "optimizer", "best")
    return Checkpoint(Progress(**progress), lists["model"], lists["optimizer"], lists["best"])


def delete_checkpoints(run: RunDirectory, folder: str) -> None:
    """Drop the checkpoints of a finished training."""
    run.delete_folder(f"{folder}/{_CHECKPOINTS}")


def _pack(lists: Mapping[str, Values], state: Any = None) -> bytes:
    arrays = {f"{name}/{i:05d}": value for name, values in lists.items() for i, value in enumerate(values)}
    header = json.dumps({"counts": {name: len(values) for name, values in lists.items()}, "state": state})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(header.encode(), np.uint8), **arrays)
    return buffer.getvalue()


def _unpack(run: RunDirectory, path: str, *names: str) -> tuple[dict[str, Values], Any]:
    """These lists of arrays, and the state."""
    content = run.read_bytes(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            lists = {name: [archive[f"{name}/{i:05d}"] for i in range(header["counts"][name])] for name in names}
        return lists, header["state"]
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as error:
        raise run.damaged(path, f"no complete archive ({error})") from error
