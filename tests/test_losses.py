import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from numpy.testing import assert_allclose

from raykd.losses import (
    SOFT_LOSSES,
    Objective,
    average_teachers,
    blend,
    dist,
    dkd,
    hard_cross_entropy,
    logit_mse,
    logit_standardised_kl,
    soft_kl,
)

LN2, LN3 = np.log(2.0), np.log(3.0)


def softmax(logits, temperature=1.0):
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def golden_kl(teacher, student, temperature, labels=None, weights=None):
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    return temperature**2 * (p * np.log(p / q)).sum(axis=-1)


def golden_mse(teacher, student, temperature, labels=None, weights=None):
    return ((np.asarray(student, np.float64) - teacher) ** 2).mean(axis=-1)


def golden_dkd(teacher, student, temperature, labels=None, weights=None, parts=(1.0, 8.0)):
    losses = []
    labels = np.full(len(teacher), -1) if labels is None else labels
    for p, q, label in zip(softmax(teacher, temperature), softmax(student, temperature), labels, strict=True):
        target = label if label >= 0 else p.argmax()
        pairs = [(np.array([x[target], 1 - x[target]]), np.delete(x, target) / (1 - x[target])) for x in (p, q)]
        (pair_p, rest_p), (pair_q, rest_q) = pairs
        divergences = scipy.stats.entropy(pair_p, pair_q), scipy.stats.entropy(rest_p, rest_q)
        losses.append(temperature**2 * np.dot(parts, divergences))
    return np.array(losses)


def golden_standardised(teacher, student, temperature, labels=None, weights=None):
    scores = [scipy.stats.zscore(np.asarray(z, np.float64), axis=1, ddof=1) for z in (teacher, student)]
    return golden_kl(*scores, temperature)


def golden_dist(teacher, student, temperature, labels=None, weights=None):
    """Rows of weight 0 are left out of the columns."""
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    kept = np.arange(len(p)) if weights is None else np.flatnonzero(weights)
    rows = [1 - np.corrcoef(one, other)[0, 1] for one, other in zip(p, q, strict=True)]
    columns = [1 - np.corrcoef(one, other)[0, 1] for one, other in zip(p[kept].T, q[kept].T, strict=True)]
    return np.array(rows) + np.mean(columns)


GOLDEN = {
    "kl": golden_kl,
    "logit_mse": golden_mse,
    "dkd": golden_dkd,
    "logit_standardised_kl": golden_standardised,
    "dist": golden_dist,
}


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


def test_dkd_by_hand():
    # p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4), target 0: KL((1/2, 1/2), (1/4, 3/4)) = 1/2 ln 4/3, and
    # KL((1/2, 1/2), (2/3, 1/3)) = 1/2 ln 9/8. Target 1: KL((1/4, 3/4), (1/2, 1/2)) = 3/4 ln 3 - ln 2, and
    # KL((2/3, 1/3), (1/2, 1/2)) = 5/3 ln 2 - ln 3. An unknown label: the teacher's most probable class, 0.
    teacher_BC, student_BC = np.log([[[2.0, 1, 1]] * 3, [[1.0, 2, 1]] * 3])
    first, second = 0.5 * np.log(4 / 3) + 8 * 0.5 * np.log(9 / 8), 0.75 * LN3 - LN2 + 8 * (5 / 3 * LN2 - LN3)
    labels_B = np.array([0, 1, -1])
    assert_allclose(dkd(teacher_BC, student_BC, 1.0, labels_B), [first, second, first], rtol=1e-5)
    assert_allclose(dkd(3 * teacher_BC, 3 * student_BC, 3.0, labels_B), [9 * first, 9 * second, 9 * first], rtol=1e-5)
    assert_allclose(dkd(teacher_BC, student_BC, 1.0), [first] * 3, rtol=1e-5)


def test_dkd_with_the_teachers_own_weight_of_the_rest_is_kl():
    teacher_BC, student_BC = logits(1, 5, scale=2), logits(1, 5, scale=2, seed=1)
    for target in range(5):
        others = 1 - softmax(teacher_BC, 4.0)[0, target]
        found_B = dkd(teacher_BC, student_BC, 4.0, np.array([target]), part_weights=(1.0, others))
        assert_allclose(found_B, golden_kl(teacher_BC, student_BC, 4.0), rtol=1e-5)


def test_a_sure_teacher_and_a_hopeless_student_have_a_finite_dkd():
    teacher_BC = np.array([[500.0, -500.0, 0.0]])
    loss = gradient(lambda student: dkd(teacher_BC, student, 1.0), -teacher_BC.astype(np.float32))
    assert_allclose(dkd(teacher_BC, -teacher_BC, 1.0), [1000.0 + 8 * 500.0], rtol=1e-6)
    assert np.isfinite(loss).all()


def test_logit_standardised_kl_by_hand():
    # z-scores of (0, 1, 2) are (-1, 0, 1), of (8, 5, 2) they are (1, 0, -1): KL = 2 (p_2 - p_0). The second row's
    # logits are a stretched and shifted teacher's.
    teacher_BC, student_BC = np.array([[0.0, 1, 2], [0, 1, 2]]), np.array([[8.0, 5, 2], [10, 30, 50]])
    expected = 2 * (np.e - 1 / np.e) / (np.e + 1 + 1 / np.e)
    assert_allclose(logit_standardised_kl(teacher_BC, student_BC, 1.0), [expected, 0.0], rtol=1e-5, atol=1e-6)


def test_logit_standardised_kl_ignores_scale_and_level():
    teacher_BC, student_BC = logits(8, 5), logits(8, 5, seed=1)
    moved_B = logit_standardised_kl(7 * teacher_BC - 3, 0.2 * student_BC + 4, 2.0)
    assert_allclose(moved_B, logit_standardised_kl(teacher_BC, student_BC, 2.0), rtol=1e-4, atol=1e-5)


def test_dist_by_hand():
    # Each row against itself reversed: -13/14. Outer columns swap their values: -1. The middle one is constant: 0.
    probabilities_BC = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    found_B = dist(np.log(probabilities_BC), np.log(probabilities_BC[::-1]), 1.0)
    assert_allclose(found_B, [27 / 14 + 5 / 3] * 2, rtol=1e-5)


def test_dist_ignores_scale_and_level_of_probabilities():
    # Mixed with the uniform distribution, probabilities are 0.3 p + 0.7 / C: as good to a correlation as p.
    teacher_BC, student_BC = logits(16, 5), logits(16, 5, seed=1)
    mixed_BC = np.log(0.3 * softmax(student_BC) + 0.7 / 5)
    assert_allclose(dist(teacher_BC, mixed_BC, 1.0), dist(teacher_BC, student_BC, 1.0), rtol=1e-4)
    own_BC = np.log(0.3 * softmax(teacher_BC) + 0.7 / 5)
    assert_allclose(dist(teacher_BC, own_BC, 1.0), np.zeros(16), atol=1e-5)


WEIGHTS_B = np.array([1, 1, 0, 1, 1, 0], np.float32)


@pytest.mark.parametrize("name", SOFT_LOSSES)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
class TestAgainstFloat64:
    def test_loss(self, name, temperature):
        teacher_BC, student_BC = logits(6, 5, scale=3), logits(6, 5, scale=3, seed=1)
        expected_B = GOLDEN[name](teacher_BC, student_BC, temperature, LABELS_B, WEIGHTS_B)
        # float32 keeps 7 digits before the factor T², and dkd's 8.
        found_B = SOFT_LOSSES[name](teacher_BC, student_BC, temperature, LABELS_B, WEIGHTS_B)
        assert_allclose(found_B, expected_B, rtol=1e-4, atol=2e-6 * max(1, temperature**2))

    def test_gradient_is_that_of_central_differences(self, name, temperature):
        teacher_BC, student_BC = logits(6, 5, scale=2), logits(6, 5, scale=2, seed=1)

        def total(student):
            return WEIGHTS_B @ GOLDEN[name](teacher_BC, student, temperature, LABELS_B, WEIGHTS_B)

        expected_BC = np.zeros((6, 5))
        for place in np.ndindex(6, 5):
            step_BC = np.zeros((6, 5))
            step_BC[place] = 1e-5
            expected_BC[place] = (total(student_BC + step_BC) - total(student_BC - step_BC)) / 2e-5
        found_BC = gradient(
            lambda s: WEIGHTS_B * SOFT_LOSSES[name](teacher_BC, s, temperature, LABELS_B, WEIGHTS_B), student_BC
        )
        assert_allclose(found_BC, expected_BC, rtol=1e-3, atol=2e-5 * max(1, temperature))


@pytest.mark.parametrize("name", SOFT_LOSSES)
@pytest.mark.parametrize("padding_logits", [0.0, 3.0])
def test_padding_rows_change_nothing(name, padding_logits):
    # A model's logits for a row of zeros may all be equal: deviations and their gradients must stay finite.
    teacher_BC, student_BC = logits(6, 5), logits(6, 5, seed=1)
    padded = [np.concatenate([z, np.full((3, 5), padding_logits, np.float32)]) for z in (teacher_BC, student_BC)]
    labels_B = np.concatenate([LABELS_B, [-1] * 3])
    weights_B = np.concatenate([np.ones(6), np.zeros(3)]).astype(np.float32)

    def loss(student):
        return weights_B * SOFT_LOSSES[name](padded[0], student, 2.0, labels_B, weights_B)

    expected_B = SOFT_LOSSES[name](teacher_BC, student_BC, 2.0, LABELS_B)
    assert_allclose(loss(padded[1]), np.concatenate([expected_B, np.zeros(3)]), rtol=1e-5, atol=1e-6)
    expected_BC = gradient(lambda s: SOFT_LOSSES[name](teacher_BC, s, 2.0, LABELS_B), student_BC)
    assert_allclose(gradient(loss, padded[1]), np.concatenate([expected_BC, np.zeros((3, 5))]), rtol=1e-5, atol=1e-6)


def test_a_batch_of_padding_alone_has_no_loss_and_no_gradient():
    weights_B = np.zeros(4, np.float32)
    found_BC = gradient(lambda s: weights_B * dist(logits(4, 5), s, 2.0, None, weights_B), logits(4, 5, seed=1))
    assert_allclose(found_BC, np.zeros((4, 5)))


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


@pytest.mark.parametrize("name", ["kl", "dkd", "dist"])
@pytest.mark.parametrize("temperature", [1.5, 2.0, 4.0, 10.0, 20.0])
def test_the_gradients_size_depends_little_on_the_temperature(name, temperature):
    loss = SOFT_LOSSES[name]
    teacher_BC, student_BC = logits(32, 5, scale=0.05), logits(32, 5, scale=0.05, seed=1)
    size = np.linalg.norm(gradient(lambda s: loss(teacher_BC, s, temperature), student_BC))
    at_1 = np.linalg.norm(gradient(lambda s: loss(teacher_BC, s, 1.0), student_BC))
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


WEIGHTS_N = (0.5, 0.2, 0.3)


def test_weighted_teachers_by_hand():
    # (3/4, 1/4) and (1/4, 3/4), one to three: (3/8, 5/8). Logits: ln 3 times (1/4, 3/4), so 1 to the root of 3.
    teachers_BNC = np.array([[[LN3, 0], [0, LN3]]], np.float32)
    for temperature in (1.0, 2.0):
        found_BC = average_teachers(temperature * teachers_BNC, temperature, (0.25, 0.75))
        assert_allclose(softmax(found_BC, temperature), [[0.375, 0.625]], atol=1e-6)
        found_BC = average_teachers(temperature * teachers_BNC, temperature, (0.25, 0.75), "logits")
        assert_allclose(softmax(found_BC, temperature), [[1 / (1 + 3**0.5), 3**0.5 / (1 + 3**0.5)]], atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 5.0])
def test_weighted_teachers_against_float64(temperature):
    teachers_BNC = logits(8, 3, 4, scale=3)
    found_BC = softmax(average_teachers(teachers_BNC, temperature, WEIGHTS_N), temperature)
    assert_allclose(found_BC, np.einsum("n,bnc->bc", WEIGHTS_N, softmax(teachers_BNC, temperature)), atol=1e-6)
    found_BC = average_teachers(teachers_BNC, temperature, WEIGHTS_N, "logits")
    assert_allclose(found_BC, np.einsum("n,bnc->bc", WEIGHTS_N, teachers_BNC), atol=1e-5)


@pytest.mark.parametrize("space", ["probabilities", "logits"])
def test_weights_pick_one_teacher_or_treat_all_alike(space):
    teachers_BNC = logits(8, 3, 4, scale=3)
    alone_BC = average_teachers(teachers_BNC, 2.0, (0.0, 1.0, 0.0), space)
    assert_allclose(alone_BC, teachers_BNC[:, 1], rtol=1e-5, atol=1e-5)
    alike_BC = average_teachers(teachers_BNC, 2.0, (1 / 3, 1 / 3, 1 / 3), space)
    assert_allclose(alike_BC, average_teachers(teachers_BNC, 2.0, None, space), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SOFT_LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS_N])
@pytest.mark.parametrize("space", ["probabilities", "logits"])
def test_equal_teachers_averaged_teach_as_one_of_them(name, weights, space):
    teacher_BC, student_BC = logits(8, 4), logits(8, 4, seed=1)
    average_BC = average_teachers(np.stack([teacher_BC] * 3, axis=1), 2.0, weights, space)
    assert_allclose(average_BC, teacher_BC, atol=1e-5)
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
        soft_B = sum(GOLDEN[name](teachers_BNC[:, i], logits_BKC[:, 0], temperature, LABELS_B) for i in range(3)) / 3
        expected_B = golden_blend(golden_hard(logits_BKC[:, 0]), soft_B, alpha)
        found_B = Objective(name)(LABELS_B, logits_BKC, teachers_BNC, alpha, temperature)
        assert_allclose(found_B, expected_B, rtol=1e-4, atol=5e-5)

    def test_a_golden_head_and_one_per_teacher(self, name, alpha, temperature):
        logits_BKC, teachers_BNC = logits(6, 4, 4), logits(6, 3, 4, seed=1)
        soft_B = (
            sum(GOLDEN[name](teachers_BNC[:, i], logits_BKC[:, i + 1], temperature, LABELS_B) for i in range(3)) / 3
        )
        expected_B = golden_blend(golden_hard(logits_BKC[:, 0]), soft_B, alpha)
        found_B = Objective(name)(LABELS_B, logits_BKC, teachers_BNC, alpha, temperature)
        assert_allclose(found_B, expected_B, rtol=1e-4, atol=5e-5)

    def test_without_a_golden_head_there_is_no_hard_loss(self, name, alpha, temperature):
        logits_BKC, teachers_BNC = logits(6, 3, 4), logits(6, 3, 4, seed=1)
        golden = GOLDEN[name]
        soft_B = sum(golden(teachers_BNC[:, i], logits_BKC[:, i], temperature, LABELS_B) for i in range(3)) / 3
        found_B = Objective(name)(LABELS_B, logits_BKC, teachers_BNC, alpha, temperature)
        assert_allclose(found_B, soft_B, rtol=1e-4, atol=5e-5)

    def test_alpha_and_temperature_may_be_tensors_in_a_graph(self, name, alpha, temperature):
        logits_BKC, teachers_BNC = logits(6, 1, 4), logits(6, 3, 4, seed=1)
        objective = Objective(name, average=True)
        settings = tf.constant(alpha), tf.constant(temperature)
        found_B = tf.function(objective)(LABELS_B, logits_BKC, teachers_BNC, *settings)
        expected_B = objective(LABELS_B, logits_BKC, teachers_BNC, alpha, temperature)
        assert_allclose(found_B, expected_B, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_an_averaging_objective_learns_from_the_mean_probabilities(temperature):
    logits_BKC, teachers_BNC = logits(6, 1, 4), logits(6, 3, 4, seed=1)
    mean_BC, q_BC = softmax(teachers_BNC, temperature).mean(axis=1), softmax(logits_BKC[:, 0], temperature)
    soft_B = temperature**2 * (mean_BC * np.log(mean_BC / q_BC)).sum(axis=1)
    found_B = Objective("kl", average=True)(LABELS_B, logits_BKC, teachers_BNC, 0.9, temperature)
    assert_allclose(found_B, golden_blend(golden_hard(logits_BKC[:, 0]), soft_B, 0.9), rtol=1e-4, atol=1e-5)


def test_an_objective_averages_by_its_weights_in_its_space():
    logits_BKC, teachers_BNC = logits(6, 1, 4), logits(6, 3, 4, seed=1)
    for space in ("probabilities", "logits"):
        objective = Objective("kl", average=True, space=space, weights=WEIGHTS_N)
        averaged_BC = average_teachers(teachers_BNC, 4.0, WEIGHTS_N, space)
        expected_B = Objective("kl")(LABELS_B, logits_BKC, averaged_BC[:, None], 0.9, 4.0)
        assert_allclose(objective(LABELS_B, logits_BKC, teachers_BNC, 0.9, 4.0), expected_B, rtol=1e-6)


def test_an_objective_weighs_the_parts_of_dkd():
    logits_BKC, teachers_BNC = logits(6, 1, 4), logits(6, 1, 4, seed=1)
    found_B = Objective("dkd", dkd_weights=(2.0, 0.5))(LABELS_B, logits_BKC, teachers_BNC, 1.0, 4.0)
    expected_B = golden_dkd(teachers_BNC[:, 0], logits_BKC[:, 0], 4.0, LABELS_B, parts=(2.0, 0.5))
    assert_allclose(found_B, expected_B, rtol=1e-4)


def test_an_objective_leaves_padding_rows_out_of_the_batch():
    logits_BKC, teachers_BNC = logits(6, 1, 4), logits(6, 1, 4, seed=1)
    found_B = Objective("dist")(LABELS_B, logits_BKC, teachers_BNC, 1.0, 4.0, WEIGHTS_B)
    expected_B = golden_dist(teachers_BNC[:, 0], logits_BKC[:, 0], 4.0, weights=WEIGHTS_B)
    assert_allclose(found_B, expected_B, rtol=1e-4)


@pytest.mark.parametrize(("heads", "teachers"), [(2, 3), (5, 3), (3, 1)])
def test_heads_that_fit_no_teachers_are_refused(heads, teachers):
    with pytest.raises(ValueError, match=f"{heads} heads for {teachers} teachers, expected 1, "):
        Objective()(LABELS_B, logits(6, heads, 4), logits(6, teachers, 4), 0.5, 1.0)


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
