import numpy as np
import pytest
from numpy.testing import assert_allclose

from raykd.ensemble import average, member_weights, tempered
from raykd.train.predict import probabilities_of

SPACES = ["probabilities", "logits"]


def test_tempering_by_hand():
    assert_allclose(tempered(np.array([[0.8, 0.2]]), 2.0), [[2 / 3, 1 / 3]])  # roots of 4 to 1
    assert_allclose(tempered(np.array([[0.8, 0.2]]), 1.0), [[0.8, 0.2]])
    assert_allclose(tempered(np.array([[1.0, 0.0]]), 2.0), [[1.0, 0.0]])


def test_temperature_of_a_softmax_is_that_of_its_logits():
    logits_BKC = np.random.default_rng(0).normal(0, 3, (5, 1, 4)).astype(np.float32)
    assert_allclose(tempered(probabilities_of(logits_BKC), 1.7), probabilities_of(logits_BKC / 1.7), rtol=1e-6)


def test_average_by_hand():
    first_BC = np.array([[1.0, 0.0], [0.5, 0.5]])
    second_BC = np.array([[0.4, 0.6], [0.2, 0.8]])
    third_BC = np.array([[0.1, 0.9], [0.8, 0.2]])
    assert_allclose(average([first_BC, second_BC, third_BC]), [[0.5, 0.5], [0.5, 0.5]])


def test_weighted_average_by_hand():
    # (4/5, 1/5) and (1/2, 1/2), one to three: (23/40, 17/40). Their geometric mean, alike: 2 to 1.
    first_BC, second_BC = np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]])
    assert_allclose(average([first_BC, second_BC], (0.25, 0.75)), [[23 / 40, 17 / 40]])
    assert_allclose(average([first_BC, second_BC], space="logits"), [[2 / 3, 1 / 3]])


def test_average_of_logits_is_the_softmax_of_their_mean():
    logits_MBC = np.random.default_rng(0).normal(0, 3, (3, 20, 4))
    weights = (0.5, 0.2, 0.3)
    powers_MBC, powers_BC = np.exp(logits_MBC), np.exp(np.einsum("m,mbc->bc", weights, logits_MBC))
    found_BC = average(list(powers_MBC / powers_MBC.sum(axis=2, keepdims=True)), weights, "logits")
    assert_allclose(found_BC, powers_BC / powers_BC.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("space", SPACES)
def test_equal_members_average_to_themselves(space):
    member_BC = np.array([[0.3, 0.7], [0.9, 0.1], [1.0, 0.0]])
    assert_allclose(average([member_BC], space=space), member_BC, atol=1e-12)
    assert_allclose(average([member_BC] * 3, (0.2, 0.5, 0.3), space), member_BC, atol=1e-12)


def test_an_average_is_a_distribution_within_its_members_whatever_their_order():
    members_MBC = np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 20))
    mean_BC = average(list(members_MBC))
    assert_allclose(mean_BC.sum(axis=1), np.ones(20))
    assert (mean_BC >= members_MBC.min(axis=0)).all()
    assert (mean_BC <= members_MBC.max(axis=0)).all()
    assert_allclose(average(list(members_MBC[::-1])), mean_BC)


def test_an_overconfident_member_is_outvoted():
    # Averaged logits would follow the fourth member: its log-odds are -13.8, those of the others 3 x 0.85.
    members = [np.array([[0.7, 0.3]])] * 3 + [np.array([[1e-6, 1 - 1e-6]])]
    assert average(members).argmax(axis=1) == [0]


def two_classes(*right_MB):
    """Predictions of two classes by the probability of the true one, which is class 0."""
    return [np.stack([right, 1 - np.asarray(right)], axis=1) for right in map(np.asarray, right_MB)]


def nll(weights, members, labels, space):
    predicted = average(members, weights, space)
    return -np.log(predicted[np.arange(len(labels)), labels]).mean()


def test_uniform_weights():
    members = two_classes([0.9, 0.9], [0.1, 0.1], [0.6, 0.1], [0.1, 0.6])
    assert member_weights("uniform", members, np.zeros(2, int), "logits") == (0.25,) * 4


def test_weights_in_proportion_to_accuracy():
    # Two right, one, none; and nobody right.
    members = two_classes([0.9, 0.6], [0.8, 0.4], [0.3, 0.4])
    assert_allclose(member_weights("accuracy", members, np.zeros(2, int), "probabilities"), [2 / 3, 1 / 3, 0])
    assert_allclose(member_weights("accuracy", members[2:] * 2, np.zeros(2, int), "probabilities"), [0.5, 0.5])


def test_fitted_weights_by_hand():
    # 2 log(0.1 + 0.8 w) + log(0.9 - 0.8 w) is greatest at w = 17/24.
    members = two_classes([0.9, 0.9, 0.1], [0.1, 0.1, 0.9])
    found = member_weights("fitted", members, np.zeros(3, int), "probabilities")
    assert_allclose(found, [17 / 24, 7 / 24], atol=1e-5)
    # Margins of +-2: the averaged margin is 2 (2 w - 1), and best where its sigmoid is 2/3, the share of rows.
    high, low = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(2.0))
    found = member_weights("fitted", two_classes([high, high, low], [low, low, high]), np.zeros(3, int), "logits")
    assert_allclose(found, [0.5 + np.log(2) / 4, 0.5 - np.log(2) / 4], atol=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_fitted_weights_choose_the_only_good_member(space):
    rng = np.random.default_rng(0)
    labels_B = rng.integers(0, 4, 200)
    good_BC = np.full((200, 4), 0.02)
    good_BC[np.arange(200), labels_B] = 0.94
    members = [rng.dirichlet(np.ones(4), 200), good_BC, rng.dirichlet(np.ones(4), 200)]
    assert_allclose(member_weights("fitted", members, labels_B, space)[1], 1.0, atol=0.02)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(5))
def test_fitted_weights_are_convex_and_no_others_have_a_smaller_nll(space, seed):
    rng = np.random.default_rng(seed)
    labels_B = rng.integers(0, 4, 100)
    right_BC = np.eye(4)[labels_B]
    members = [0.6 * rng.dirichlet(np.ones(4), 100) + 0.4 * share * right_BC + 0.1 * (1 - share)
               for share in (0.2, 0.5, 0.6, 0.9)]  # fmt: skip
    fitted = member_weights("fitted", members, labels_B, space)
    assert_allclose(sum(fitted), 1.0)
    assert min(fitted) >= 0
    others = [*np.eye(4), np.full(4, 0.25), *rng.dirichlet(np.ones(4), 200)]
    assert nll(fitted, members, labels_B, space) <= min(nll(w, members, labels_B, space) for w in others) + 1e-9
    assert member_weights("fitted", members, labels_B, space) == fitted


@pytest.mark.parametrize("space", SPACES)
def test_equal_members_have_equal_fitted_weights(space):
    member_BC = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    found = member_weights("fitted", [member_BC] * 3, np.zeros(50, int), space)
    assert_allclose(found, [1 / 3] * 3, atol=1e-6)


@pytest.mark.parametrize("space", SPACES)
def test_a_member_that_is_certainly_wrong_is_left_out(space):
    members = two_classes([0.9] * 9 + [0.2], [1.0] * 9 + [0.0])
    found = member_weights("fitted", members, np.zeros(10, int), space)
    assert np.isfinite(nll(found, members, np.zeros(10, int), space))
    assert member_weights("fitted", members[:1], np.zeros(10, int), space) == (1.0,)
