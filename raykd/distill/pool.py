"""The rows that students learn soft labels from, and whether every teacher has scored them. No TensorFlow."""

from raykd.config import Config
from raykd.data.shards import Manifest
from raykd.distill.recipes import NOISY_STUDENT, students
from raykd.distill.rounds import POOL
from raykd.errors import InputError


def check_pool(config: Config, manifest: Manifest) -> None:
    """Raises: InputError where students learn from an external teacher that has not scored a part of their pool."""
    taught = students(config.distill.recipes, config.teacher_names)
    stages = config.distill.stage1.pool if config.distill.stage1.epochs and any(s.teachers for s in taught) else ()
    splits = {*stages, *(POOL if NOISY_STUDENT.name in config.distill.recipes else ())}
    for name in config.external if config.distill.external else ():
        for split in sorted(splits):
            if manifest.rows(split) and name not in manifest.external_with(split):
                raise InputError(
                    f"data.columns.external: {name} has no score for the {manifest.rows(split)} rows of the {split} "
                    "split, expected one of each; fill the column, take the split out of distill.stage1.pool, or set "
                    "distill.external: false to learn from the trained teachers alone"
                )
