import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from raykd.losses import (
    SOFT_LOSSES,
    Objective,
    average_teachers,
    blend,
    hard_cross_entropy,
    logit_mse,
    soft_kl,
)

LN2, LN3 = np.log(2.0), np.log(3.0)


def softmax(logits, temperature=1.0):
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def golden_kl(teacher, student, temperature):
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    return temperature**2 * (p * np.log(p / q)).sum(axis=-1)


def golden_mse(teacher, student, temperature):
    return ((np.asarray(student, np.float64) - teacher) ** 2).mean(axis=-1)


GOLDEN = {"kl": golden_kl, "logit_mse": golden_mse}


def logits(*shape, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def test_hard_cross_entropy_by_hand():
    # softmax(ln 3, 0) = (3/4, 1/4); equal logits give 1/2; an unknown label costs nothing.
    logits_BC = np.array([[LN3, 0], [LN3, 0], [5, 5], [9, -9]], np.float32)
    assert_allclose(
        hard_cross_entropy(np.array([0, 1, 0, -1]), logits_BC), [np.log(4 / 3), np.log(4), LN2, 0], rtol=1e-6
    )


def test_soft_kl_by_hand():
    # p = (3/4, 1/4), q = (1/2, 1/2): KL = ln 2 - H(p) = 3/4 ln 3 - ln 2. Twice the logits at T = 2: same p.
    teacher_BC, student_BC = np.array([[LN3, 0.0]]), np.array([[7.0, 7.0]])
    assert_allclose(soft_kl(teacher_BC, student_BC, 1.0), [0.75 * LN3 - LN2], rtol=1e-5)
    assert_allclose(soft_kl(2 * teacher_BC, student_BC, 2.0), [4 * (0.75 * LN3 - LN2)], rtol=1e-5)


def test_logit_mse_by_hand():
    teacher_BC, student_BC = np.array([[1.0, 2.0, 3.0], [0, 0, 0]]), np.array([[2.0, 2.0, 1.0], [0, 3, 0]])
    assert_allclose(logit_mse(teacher_BC, student_BC, 4.0), [5 / 3, 3.0], rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_soft_kl_agrees_with_float64(temperature):
    teacher_BC, student_BC = logits(16, 5, scale=3), logits(16, 5, scale=3, seed=1)
    expected_B = golden_kl(teacher_BC, student_BC, temperature)
    # float32 keeps 7 digits before the factor T².
    assert_allclose(soft_kl(teacher_BC, student_BC, temperature), expected_B, rtol=1e-4, atol=2e-7 * temperature**2)


@pytest.mark.parametrize("name", SOFT_LOSSES)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 20.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_soft_losses_are_zero_at_equality_and_float32(name, temperature, dtype):
    same_BC = logits(8, 4, scale=5).astype(dtype)
    loss_B = SOFT_LOSSES[name](same_BC, same_BC, temperature)
    assert loss_B.dtype == tf.float32
    assert_allclose(loss_B, np.zeros(8), atol=1e-6)


def test_soft_kl_ignores_a_constant_added_to_all_logits():
    teacher_BC, student_BC = logits(8, 4), logits(8, 4, seed=1)
    shifted_B = soft_kl(teacher_BC + 10, student_BC - 10, 2.0)
    assert_allclose(shifted_B, soft_kl(teacher_BC, student_BC, 2.0), atol=2e-5)


def test_a_hopeless_student_has_a_finite_loss():
    # p = (1, 0), q = (e^-1000, 1): KL = 1000.
    teacher_BC = np.array([[500.0, -500.0]])
    assert_allclose(soft_kl(teacher_BC, -teacher_BC, 1.0), [1000.0], rtol=1e-6)


def gradient(loss, student):
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(variable))
    return tape.gradient(total, variable).numpy()


@pytest.mark.parametrize("temperature", [1.5, 2.0, 4.0, 10.0, 20.0])
def test_t_squared_keeps_the_gradients_size(temperature):
    teacher_BC, student_BC = logits(32, 5, scale=0.05), logits(32, 5, scale=0.05, seed=1)
    size = np.linalg.norm(gradient(lambda s: soft_kl(teacher_BC, s, temperature), student_BC))
    at_1 = np.linalg.norm(gradient(lambda s: soft_kl(teacher_BC, s, 1.0), student_BC))
    assert_allclose(size, at_1, rtol=0.05)


def test_soft_kl_gradient_is_t_times_the_difference_of_probabilities():
    teacher_BC, student_BC = logits(8, 5, scale=3), logits(8, 5, scale=3, seed=1)
    expected_BC = 4.0 * (softmax(student_BC, 4.0) - softmax(teacher_BC, 4.0))
    assert_allclose(gradient(lambda s: soft_kl(teacher_BC, s, 4.0), student_BC), expected_BC, atol=1e-5)


def test_soft_kl_at_a_huge_temperature_is_half_the_centred_mse():
    # T² KL tends to 1/2 mean_c (d_c - mean d)². Wide logits, as float32 leaves T² * 1e-7 = 0.1 of rounding.
    teacher_BC, student_BC = logits(32, 5, scale=10), logits(32, 5, scale=10, seed=1)
    difference_BC = (student_BC - teacher_BC).astype(np.float64)
    centred_BC = difference_BC - difference_BC.mean(axis=1, keepdims=True)
    expected_B = 0.5 * (centred_BC**2).mean(axis=1)
    assert_allclose(soft_kl(teacher_BC, student_BC, 1000.0), expected_B, rtol=0.02, atol=0.2)
    assert_allclose(np.mean(soft_kl(teacher_BC, student_BC, 1000.0)), expected_B.mean(), rtol=0.005)


def test_averaged_teachers_by_hand():
    # (3/4, 1/4) and (1/4, 3/4) average to (1/2, 1/2); (3/4, 1/4) and (1/2, 1/2) to (5/8, 3/8), at T = 2 too.
    teachers_BNC = np.array([[[LN3, 0], [0, LN3]], [[LN3, 0], [0, 0]]], np.float32)
    for temperature in (1.0, 2.0):
        found_BC = softmax(average_teachers(temperature * teachers_BNC, temperature), temperature)
        assert_allclose(found_BC, [[0.5, 0.5], [0.625, 0.375]], atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 5.0])
def test_averaged_teachers_have_the_mean_of_the_tempered_probabilities(temperature):
    teachers_BNC = logits(8, 3, 4, scale=3)
    found_BC = softmax(average_teachers(teachers_BNC, temperature), temperature)
    assert_allclose(found_BC, softmax(teachers_BNC, temperature).mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("name", SOFT_LOSSES)
def test_equal_teachers_averaged_teach_as_one_of_them(name):
    teacher_BC, student_BC = logits(8, 4), logits(8, 4, seed=1)
    average_BC = average_teachers(np.stack([teacher_BC] * 3, axis=1), 2.0)
    found_B = SOFT_LOSSES[name](average_BC, student_BC, 2.0)
    assert_allclose(found_B, SOFT_LOSSES[name](teacher_BC, student_BC, 2.0), rtol=1e-4, atol=1e-5)


def test_blend_counts_alpha_as_1_where_there_is_no_label():
    hard_B, soft_B = np.array([1.0, 1.0, 5.0], np.float32), np.array([3.0, 7.0, 9.0], np.float32)
    assert_allclose(blend(hard_B, soft_B, np.array([0, 1, -1]), 0.25), [1.5, 2.5, 9.0], rtol=1e-6)


LABELS_B = np.array([2, 0, -1, 1, -1, 3])


def golden_blend(hard_B, soft_B, alpha):
    alpha_B = np.where(LABELS_B >= 0, alpha, 1.0)
    return (1 - alpha_B) * hard_B + alpha_B * soft_B


def golden_hard(logits_BC):
    return np.where(LABELS_B >= 0, -np.log(softmax(logits_BC)[np.arange(6), LABELS_B]), 0.0)


def test_an_objective_by_hand():
    # Golden head (3/4, 1/4), label 0: ln 4/3. Head 1 is equal to teacher 1: 0. Head 2 (1/2, 1/2) learns from
    # (3/4, 1/4): 3/4 ln 3 - ln 2. Soft is the mean of both; alpha 1/5.
    logits_BKC = np.array([[[LN3, 0], [4.0, 1.0], [6.0, 6.0]]], np.float32)
    teachers_BNC = np.array([[[4.0, 1.0], [LN3, 0]]], np.float32)
    found_B = Objective("kl")(np.array([0]), logits_BKC, teachers_BNC, 0.2, 1.0)
    assert_allclose(found_B, [0.8 * np.log(4 / 3) + 0.2 * (0.75 * LN3 - LN2) / 2], rtol=1e-5)


@pytest.mark.parametrize("name", SOFT_LOSSES)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
class TestObjective:
    def test_one_head_learns_from_every_teacher(self, name, alpha, temperature):
        logits_BKC, teachers_BNC = logits(6, 1, 4), logits(6, 3, 4, seed=1)
        soft_B = sum(GOLDEN[name](teachers_BNC[:, i], logits_BKC[:, 0], temperature) for i in range(3)) / 3
        expected_B = golden_blend(golden_hard(logits_BKC[:, 0]), soft_B, alpha)
        found_B = Objective(name)(LABELS_B, logits_BKC, teachers_BNC, alpha, temperature)
        assert_allclose(found_B, expected_B, rtol=1e-4, atol=1e-5)

    def test_a_golden_head_and_one_per_teacher(self, name, alpha, temperature):
        logits_BKC, teachers_BNC = logits(6, 4, 4), logits(6, 3, 4, seed=1)
        soft_B = sum(GOLDEN[name](teachers_BNC[:, i], logits_BKC[:, i + 1], temperature) for i in range(3)) / 3
        expected_B = golden_blend(golden_hard(logits_BKC[:, 0]), soft_B, alpha)
        found_B = Objective(name)(LABELS_B, logits_BKC, teachers_BNC, alpha, temperature)
        assert_allclose(found_B, expected_B, rtol=1e-4, atol=1e-5)

    def test_alpha_and_temperature_may_be_tensors_in_a_graph(self, name, alpha, temperature):
        logits_BKC, teachers_BNC = logits(6, 1, 4), logits(6, 3, 4, seed=1)
        objective = Objective(name, average=True)
        settings = tf.constant(alpha), tf.constant(temperature)
        found_B = tf.function(objective)(LABELS_B, logits_BKC, teachers_BNC, *settings)
        expected_B = objective(LABELS_B, logits_BKC, teachers_BNC, alpha, temperature)
        assert_allclose(found_B, expected_B, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_an_averaging_objective_learns_from_the_mean_probabilities(temperature):
    logits_BKC, teachers_BNC = logits(6, 1, 4), logits(6, 3, 4, seed=1)
    mean_BC, q_BC = softmax(teachers_BNC, temperature).mean(axis=1), softmax(logits_BKC[:, 0], temperature)
    soft_B = temperature**2 * (mean_BC * np.log(mean_BC / q_BC)).sum(axis=1)
    found_B = Objective("kl", average=True)(LABELS_B, logits_BKC, teachers_BNC, 0.9, temperature)
    assert_allclose(found_B, golden_blend(golden_hard(logits_BKC[:, 0]), soft_B, 0.9), rtol=1e-4, atol=1e-5)


def test_without_teachers_the_hard_loss_alone():
    logits_BKC = logits(6, 1, 4)
    found_B = Objective()(LABELS_B, logits_BKC, None, 0.0, 1.0)
    assert_allclose(found_B, golden_hard(logits_BKC[:, 0]), rtol=1e-5)


@pytest.mark.parametrize("name", SOFT_LOSSES)
@pytest.mark.parametrize("average", [False, True])
def test_gradients_flow_into_the_student_alone(name, average):
    student, teachers = tf.Variable(logits(6, 1, 4)), tf.Variable(logits(6, 3, 4, seed=1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(Objective(name, average)(LABELS_B, student, teachers, 0.5, 2.0))
    to_student, to_teachers = tape.gradient(loss, [student, teachers])
    assert to_teachers is None
    assert np.abs(to_student).min(axis=(1, 2)).all()


def test_each_soft_head_learns_from_its_own_teacher_alone():
    student_BKC, teachers_BNC = logits(6, 4, 4), logits(6, 3, 4, seed=1)
    other_BNC = teachers_BNC.copy()
    other_BNC[:, 1] += logits(6, 4, seed=2)
    first_BKC = gradient(lambda s: Objective()(LABELS_B, s, teachers_BNC, 0.5, 2.0), student_BKC)
    second_BKC = gradient(lambda s: Objective()(LABELS_B, s, other_BNC, 0.5, 2.0), student_BKC)
    change_K = np.abs(first_BKC - second_BKC).max(axis=(0, 2))
    assert (change_K > 1e-4).tolist() == [False, False, True, False]


@pytest.mark.parametrize("name", SOFT_LOSSES)
def test_heads_without_a_golden_one_learn_from_a_teacher_each(name):
    logits_BKC, teachers_BNC = logits(6, 3, 4), logits(6, 3, 4, seed=1)
    expected_B = sum(GOLDEN[name](teachers_BNC[:, i], logits_BKC[:, i], 2.0) for i in range(3)) / 3
    found_B = Objective(name)(np.full(6, -1, np.int32), logits_BKC, teachers_BNC, 0.9, 2.0)
    assert_allclose(found_B, expected_B, rtol=1e-4, atol=1e-5)
