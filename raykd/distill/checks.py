"""What a distillation asks of the examples, and a sweep of the distillation: told before anything trains."""

from collections.abc import Sequence

from raykd.config import Config
from raykd.data.largest import DENSE_CLASSES, is_dense
from raykd.data.shards import Manifest
from raykd.distill.recipes import NOISY_STUDENT, PLAIN, students
from raykd.errors import InputError

TWO_CLASSES = {
    "dkd": "beside the target there is one class, so its second part is always 0",
    "logit_standardised_kl": "a row's two standardised logits are always 0.707 and -0.707",
    "dist": "the correlation of a row's two probabilities is always 1 or -1",
}
"""Why a soft loss can't teach with two classes."""


def check_classes(config: Config, classes: int) -> None:
    """Refuse a soft loss that degenerates with so few classes, and rounds of Noisy Student with very many.

    Raises: InputError, where a student learns from teachers.
    """
    if NOISY_STUDENT.name in config.distill.recipes and not is_dense(classes):
        raise InputError(
            f"distill.recipes: {NOISY_STUDENT.name} needs every class's logit, but of {classes} classes the store "
            f"keeps the largest, expected at most {DENSE_CLASSES} classes; remove the recipe"
        )
    swept = config.sweep.enabled
    taught = swept or any(student.teachers for student in students(config.distill.recipes, config.teacher_names))
    losses: dict[str, Sequence[str]] = {
        "distill.soft_loss": [config.distill.soft_loss] if taught else [],
        "sweep.soft_loss": (config.sweep.soft_loss or []) if swept else [],
    }
    for where, names in losses.items():
        if classes < 3 and (name := next((name for name in names if name in TWO_CLASSES), None)):
            raise InputError(
                f"{where}: found {name}, but the data has {classes} classes, expected 3 or more: "
                f"{TWO_CLASSES[name]}; set kl or logit_mse"
            )


def check_unlabelled(config: Config, manifest: Manifest) -> None:
    """Refuse rounds of Noisy Student where there is nothing to label. Raises: InputError."""
    if NOISY_STUDENT.name in config.distill.recipes and not manifest.rows("unlabelled"):
        raise InputError(
            f"distill.recipes: {NOISY_STUDENT.name} learns from unlabelled rows too, but found none beside "
            f"{manifest.rows('train')} labelled ones, expected at least 1; set data.labelled to fewer rows, add rows "
            "with label -1 or remove the recipe"
        )


def check_mixup(config: Config, manifest: Manifest) -> None:
    """Refuse mixup where external teachers' probabilities stand in for labels: those are of unmixed rows.

    Raises: InputError.
    """
    if "train" not in manifest.scored_only:
        return
    trainings = {f"teachers.{teacher.name}": teacher.training for teacher in config.teachers}
    if PLAIN.name in config.distill.recipes:
        trainings["student"] = config.student.training
    for where, training in trainings.items():
        if training.augment.mixup:
            raise InputError(
                f"{where}.training.augment.mixup: found {training.augment.mixup}, expected 0 where no training row has "
                "a label: the external teachers' probabilities are those of unmixed rows; remove it"
            )


def check_workers(config: Config, manifest: Manifest) -> None:
    """Refuse more workers than there are shards to train on: one would have no rows. Raises: InputError."""
    workers, shards = config.scaling.most_workers, len(manifest.of("train"))
    if workers > shards:
        raise InputError(
            f"scaling.workers: found {workers}, but the {manifest.rows('train'):,} training rows fill {shards} "
            f"shard(s), expected at most as many workers; set scaling.workers={shards} or use more rows"
        )


def check_sweep(config: Config) -> None:
    """Refuse a sweep whose trials would run teachers. Raises: InputError."""
    hidden = config.distill.hidden.loss
    if hidden != "none":
        raise InputError(
            f"sweep: found distill.hidden.loss {hidden}, which runs the teachers in every step; expected none in a "
            "sweep, whose trials read cached logits; sweep first, then set it"
        )
