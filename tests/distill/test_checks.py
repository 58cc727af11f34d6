import pytest

from raykd.config import SoftLoss
from raykd.distill.checks import TWO_CLASSES, check_classes
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


def test_noisy_student_is_refused_with_very_many_classes() -> None:
    config = load_config("digits", ["distill.recipes=[noisy_student]"])
    check_classes(config, 1024)
    with pytest.raises(InputError, match=r"noisy_student needs every class's logit, but of 1025 classes"):
        check_classes(config, 1025)
