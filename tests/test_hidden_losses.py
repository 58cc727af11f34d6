"""Losses on hidden states against float64 numpy, at equality, under scaling and padding, and their gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import log_softmax

from raykd.hidden_losses import Attention, attention_relation, cosine, mse

B, L, W, H = 3, 5, 6, 2
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)  # The last row is padding alone.
Loss = Callable[[Any, Any, Any], Any]


def _states(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def _attention(seed: int, depth: int) -> Attention:
    return Attention(*(_states(seed + i, B, H, L, depth) for i in range(3)))


def _cosine_by_numpy(teacher: Any, student: Any) -> list[float]:
    rows = []
    for t, s, mask in zip(teacher, student, MASK, strict=True):
        angles = [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(t[mask], s[mask], strict=True)]
        rows.append(float(np.mean(angles)) if angles else 0.0)
    return rows


def _relation_by_numpy(teacher: Attention, student: Attention) -> list[float]:
    return [
        sum(_divergence(teacher, student, row, head, *of) for head in range(H) for of in ((0, 1), (2, 2))) / H
        for row in range(B)
    ]


def _divergence(teacher: Attention, student: Attention, row: int, head: int, first: int, second: int) -> float:
    logs = []
    for own in (teacher, student):
        left, right = (own[i][row, head][MASK[row]] for i in (first, second))
        logs.append(log_softmax(left @ right.T / np.sqrt(left.shape[1]), axis=-1) if len(left) else np.zeros((1, 1)))
    return float((np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=-1).mean())


def test_by_hand() -> None:
    teacher = np.array([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])
    student = np.array([[[0.0, 3.0], [0.0, 1.0], [-9.0, 0.0]]])
    mask = np.array([[True, True, False]])
    np.testing.assert_allclose(cosine(teacher, student, mask), [0.5])  # A right angle and the same direction.
    np.testing.assert_allclose(mse(teacher, student, mask), [((1 + 9) / 2 + 1 / 2) / 2])


def test_states_against_numpy() -> None:
    teacher, student = _states(0, B, L, W), _states(1, B, L, W)
    np.testing.assert_allclose(cosine(teacher, student, MASK), _cosine_by_numpy(teacher, student), atol=1e-6)
    squared = [
        ((t - s)[mask] ** 2).mean() if mask.any() else 0.0 for t, s, mask in zip(teacher, student, MASK, strict=True)
    ]
    np.testing.assert_allclose(mse(teacher, student, MASK), squared, rtol=1e-5)


def test_attention_relation_against_numpy_where_widths_differ() -> None:
    teacher, student = _attention(0, 4), _attention(10, 3)
    expected = _relation_by_numpy(teacher, student)
    assert min(expected[:2]) > 0.1
    np.testing.assert_allclose(attention_relation(teacher, student, MASK), expected, atol=1e-5)


@pytest.mark.parametrize("loss", [cosine, mse])
def test_equal_states_cost_nothing(loss: Loss) -> None:
    states = _states(2, B, L, W)
    np.testing.assert_allclose(loss(states, states, MASK), np.zeros(B), atol=1e-6)


def test_equal_attention_costs_nothing_and_costs_at_all_otherwise() -> None:
    teacher = _attention(3, 4)
    np.testing.assert_allclose(attention_relation(teacher, teacher, MASK), np.zeros(B), atol=1e-6)
    assert min(attention_relation(teacher, _attention(4, 4), MASK).numpy()[:2]) > 0.0


def test_cosine_knows_direction_only() -> None:
    teacher, student = _states(0, B, L, W), _states(1, B, L, W)
    lengths = np.random.default_rng(0).uniform(0.1, 10.0, size=(B, L, 1))
    np.testing.assert_allclose(cosine(teacher * 3, student * lengths, MASK), cosine(teacher, student, MASK), atol=1e-6)


@pytest.mark.parametrize("loss", [cosine, mse])
def test_states_of_padding_change_nothing(loss: Loss) -> None:
    teacher, student = _states(0, B, L, W), _states(1, B, L, W)
    other = np.where(MASK[..., None], student, 100.0)
    np.testing.assert_array_equal(loss(teacher, other, MASK), loss(teacher, student, MASK))


def test_attention_to_padding_changes_nothing() -> None:
    teacher, student = _attention(0, 4), _attention(10, 4)
    other = Attention(*(np.where(MASK[:, None, :, None], values, 7.0) for values in student))
    found, expected = (attention_relation(teacher, one, MASK) for one in (other, student))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("loss", [cosine, mse])
def test_gradients_are_those_of_finite_differences_and_reach_the_student_alone(loss: Loss) -> None:
    _check_gradient(lambda teacher, student: loss(teacher, student, MASK), _states(0, B, L, W), _states(1, B, L, W))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_gradients_of_attention(part: int) -> None:
    teacher, student = _attention(0, 4), _attention(10, 3)

    def of_part(theirs: Any, own: Any) -> Any:
        given, taken = list(teacher), list(student)
        given[part], taken[part] = theirs, own
        return attention_relation(Attention(*given), Attention(*taken), MASK)

    _check_gradient(of_part, teacher[part], student[part])


def _check_gradient(loss: Callable[[Any, Any], Any], teacher: NDArray[Any], student: NDArray[Any]) -> None:
    variables = [tf.Variable(values, dtype=tf.float32) for values in (teacher, student)]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(*variables))
    nothing, gradient = tape.gradient(total, variables)
    assert nothing is None
    assert np.isfinite(gradient).all()
    direction = np.random.default_rng(5).normal(size=student.shape)
    step = 1e-2
    ahead, behind = (float(tf.reduce_sum(loss(teacher, student + sign * step * direction))) for sign in (1, -1))
    np.testing.assert_allclose(
        (gradient.numpy() * direction).sum(), (ahead - behind) / (2 * step), rtol=0.01, atol=1e-4
    )


def test_states_of_zeros_have_finite_gradients() -> None:
    student = tf.Variable(tf.zeros((B, L, W)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(cosine(_states(0, B, L, W), student, MASK))
    assert np.isfinite(tape.gradient(loss, student)).all()
