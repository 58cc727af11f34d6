import numpy as np
from numpy.testing import assert_allclose

from raykd.ensemble import average


def test_average_by_hand():
    first_BC = np.array([[1.0, 0.0], [0.5, 0.5]])
    second_BC = np.array([[0.4, 0.6], [0.2, 0.8]])
    third_BC = np.array([[0.1, 0.9], [0.8, 0.2]])
    assert_allclose(average([first_BC, second_BC, third_BC]), [[0.5, 0.5], [0.5, 0.5]])


def test_one_member_is_its_own_average():
    member_BC = np.array([[0.3, 0.7], [0.9, 0.1]])
    assert_allclose(average([member_BC]), member_BC)


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
