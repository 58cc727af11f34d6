"""Noisy Student: which unlabelled rows a round keeps and how much each counts, worked out from cached logits."""

from dataclasses import dataclass, replace

import numpy as np

from raykd.artifacts import RunDirectory, logits_folder
from raykd.config import Config
from raykd.data.reader import Reader
from raykd.data.selection import Selection, balanced
from raykd.data.shards import Manifest
from raykd.distill.rounds import POOL, Round
from raykd.errors import InputError


@dataclass(frozen=True)
class Kept:
    """Rows without a label: how many there are, and how many of them are kept of each predicted class."""

    rows: int
    by_class: tuple[int, ...]


def select(
    config: Config, one: Round, weights: tuple[float, ...] | None, run: RunDirectory, manifest: Manifest
) -> tuple[Selection, Kept]:
    """The round's selection, and what it keeps. Reads the pool's logits once, shard by shard.

    Args: weights: of the round's teachers in their average; None: equal ones.
    Raises: InputError when nothing is kept.
    """
    noisy = config.distill.noisy_student
    selection = Selection(noisy.confidence, teachers=weights, space=config.distill.average, hard=noisy.labels == "hard")
    kept, surest = _count(selection, one, run, manifest)
    if not sum(kept.by_class):
        raise InputError(
            f"distill.noisy_student.confidence: found {noisy.confidence}, but the teacher of round {one.number} is at "
            f"most {surest:.3f} sure of any of {kept.rows} unlabelled rows; set less than that"
        )
    if noisy.balance:
        selection = replace(selection, class_weights=balanced(kept.by_class))
    return selection, kept


def _count(selection: Selection, one: Round, run: RunDirectory, manifest: Manifest) -> tuple[Kept, float]:
    """What the selection keeps, and the highest confidence in any row without a label."""
    rows, by_class, surest = 0, np.zeros(manifest.classes, np.int64), 0.0
    logits = tuple(logits_folder(teacher) for teacher in one.teachers)
    for shard in Reader(run, manifest.of(*POOL), manifest.inputs, logits).all():
        classes_B, confidence_B = selection.predicted(shard["teacher_logits"])
        unlabelled_B = shard["label"] < 0
        rows += int(unlabelled_B.sum())
        surest = max(surest, float(confidence_B[unlabelled_B].max(initial=0.0)))
        kept_B = selection.keeps(shard["label"], confidence_B)
        by_class += np.bincount(classes_B[kept_B], minlength=manifest.classes)
    return Kept(rows, tuple(by_class.tolist())), surest
