"""What one training is: a value that travels to the process that trains."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raykd.artifacts import RunDirectory
from raykd.config import DataConfig, TrainingConfig
from raykd.data.feed import Feed, bytes_per_row
from raykd.data.order import Order
from raykd.data.reader import Reader
from raykd.data.selection import Selection
from raykd.data.shards import Manifest
from raykd.losses import Objective
from raykd.models.build import ModelSpec
from raykd.train.augment import Augmentation

_CACHED_BYTES = 256 << 20  # of a worker's part, that `cache: auto` keeps in memory

Report = Callable[[dict[str, Any]], None]
"""Takes progress events: plain values by name."""


@dataclass(frozen=True)
class Trained:
    """A trained model: the folder of its weights, and what it is."""

    folder: str
    model: ModelSpec


@dataclass(frozen=True)
class Blocks:
    """A teacher's blocks to start from: for each block of the student the number of the teacher's, bottom first."""

    teacher: Trained
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class HiddenLoss:
    """A loss on hidden states, of this weight, against each of these teachers: it runs them in every step."""

    loss: str
    weight: float
    teachers: tuple[Trained, ...]


@dataclass(frozen=True)
class TrainJob:
    """One training run of one model.

    Args:
        folder: where weights, history and checkpoints go, relative to the run directory.
        splits: the splits whose rows train, in order.
        logits: folders of the teachers' logits, in the order of the heads; empty for hard labels alone.
        initial: folder of the weights to start from; None draws them with `seed`.
        blocks: what to take over from a teacher at the start, the rest is drawn; None with `initial`.
        hidden: the loss on hidden states, or None.
        selection: weighs rows by the teachers' logits; None: all rows count alike. The gradient of a step is the
            weighted sum over its rows divided by `batch_size`, so rows of weight 0 make it smaller, as padding does:
            sgd takes shorter steps, AdamW, which divides by the gradient's usual size, does not, and fewer gradients
            reach `clip_norm`. Losses and rates that the training reports count rows by weight.
        keep_best: keep the epoch with the best validation loss and stop early; else keep the last.
        share: of the steps that reach all rows once, that an epoch takes; the next goes on with the rows after them.
    """

    folder: str
    model: ModelSpec
    training: TrainingConfig
    seed: int
    splits: tuple[str, ...]
    objective: Objective
    alpha: float
    temperature: float
    data: DataConfig
    logits: tuple[str, ...] = ()
    initial: str | None = None
    keep_best: bool = True
    blocks: Blocks | None = None
    hidden: HiddenLoss | None = None
    selection: Selection | None = None
    share: float = 1.0

    def order(self, manifest: Manifest) -> Order:
        """The order in which its rows are read."""
        return Order(manifest.of(*self.splits), self.data.streams, self.training.batch_size, self.seed)

    def epoch_steps(self, manifest: Manifest) -> int:
        """Steps of one epoch."""
        return math.ceil(self.share * self.order(manifest).steps_per_epoch)

    def kept_in_memory(self, manifest: Manifest, workers: int = 1) -> bool:
        """Whether each worker keeps its part of the rows in memory, once read."""
        size = (
            manifest.rows(*self.splits) // workers * bytes_per_row(manifest.inputs, len(self.logits), manifest.classes)
        )
        return self.data.cache == "memory" or (self.data.cache == "auto" and size <= _CACHED_BYTES)

    def feed(self, run: RunDirectory, manifest: Manifest, rank: int = 0, workers: int = 1) -> Feed:
        """Its rows, as batches for one of the workers."""
        row_bytes = bytes_per_row(manifest.inputs, len(self.logits), manifest.classes)
        cached = self.kept_in_memory(manifest, workers)
        reader = Reader(run, manifest.of(*self.splits), manifest.inputs, self.logits, self.selection)
        return Feed(
            reader,
            self.order(manifest),
            row_bytes=row_bytes,
            cached=cached,
            tasks=self.data.read_tasks,
            rank=rank,
            workers=workers,
            keyed=self.augmentation is not None,
        )

    @property
    def augmentation(self) -> Augmentation | None:
        """Changes to its rows, or None. Raises: InputError as `Augmentation`."""
        if not self.training.augment.active():
            return None
        rows_per_stream = self.training.batch_size // self.data.streams
        return Augmentation(self.training.augment, self.model.inputs, rows_per_stream)
