from dataclasses import replace

import pytest

from raykd.config import SoftLoss
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard
from raykd.distill.checks import TWO_CLASSES, check_classes, check_mixup, check_workers
from raykd.errors import InputError
from raykd.loading import load_config
from raykd.losses import SOFT_LOSSES


def test_every_soft_loss_of_the_configuration_is_known():
    assert set(SoftLoss.__args__) == set(SOFT_LOSSES)


@pytest.mark.parametrize("soft_loss", TWO_CLASSES)
def test_two_classes_are_refused_with_the_reason(soft_loss):
    config = load_config("digits", [f"distill.soft_loss={soft_loss}"])
    with pytest.raises(InputError) as found:
        check_classes(config, 2)
    assert TWO_CLASSES[soft_loss] in str(found.value)
    assert "\n" not in str(found.value)
    check_classes(config, 3)


@pytest.mark.parametrize("overrides", [["distill.soft_loss=kl"], ["distill.soft_loss=logit_mse"],
                                       ["distill.soft_loss=dkd", "distill.recipes=[plain]"]])  # fmt: skip
def test_two_classes_are_fine_where_no_such_loss_teaches(overrides):
    check_classes(load_config("digits", overrides), 2)


def test_a_sweep_tries_no_loss_that_two_classes_can_not_teach():
    config = load_config("digits", ["sweep.enabled=true", "sweep.soft_loss=[kl,dkd]"])
    with pytest.raises(InputError, match=r"sweep\.soft_loss: found dkd, but the data has 2 classes"):
        check_classes(config, 2)
    check_classes(config, 3)


@pytest.mark.parametrize("section", ["teachers.wide", "student"])
def test_mixup_is_refused_where_external_teachers_stand_in_for_labels(section):
    config = load_config("digits", [f"{section}.training.augment.mixup=0.2"])
    labelled = Manifest(10, InputSpec("features", 64, "float32"), (Shard("train", 0, 8, ""),))
    check_mixup(config, labelled)
    with pytest.raises(InputError, match=rf"{section}\.training\.augment\.mixup: found 0\.2, expected 0"):
        check_mixup(config, replace(labelled, scored_only=("train",)))


def test_a_worker_without_rows_is_refused():
    manifest = Manifest(10, InputSpec("features", 64, "float32"), tuple(Shard("train", i, 1, "") for i in range(3)))
    check_workers(load_config("digits", ["scaling.workers=3"]), manifest)
    with pytest.raises(InputError, match=r"workers: found 4, but the 3 training rows fill 3 shard.*scaling\.workers=3"):
        check_workers(load_config("digits", ["scaling.workers=[1,4]"]), manifest)


def test_noisy_student_is_refused_with_very_many_classes() -> None:
    config = load_config("digits", ["distill.recipes=[noisy_student]"])
    check_classes(config, 1024)
    with pytest.raises(InputError, match=r"noisy_student needs every class's logit, but of 1025 classes"):
        check_classes(config, 1025)
