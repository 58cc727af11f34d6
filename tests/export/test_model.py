"""Members' logits to probabilities, against numbers worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from raykd.ensemble import average, tempered
from raykd.export.model import Combination
from raykd.train.predict import probabilities_of


def test_heads_are_averaged_as_probabilities() -> None:
    odds = np.log(np.array([[[9.0, 1.0], [1.0, 1.0]]], np.float32))  # heads say 0.9 and 0.5
    parts_BPC, probabilities_BC = Combination((1.0,), "probabilities", 1.0)([odds])
    assert_allclose(parts_BPC, [[[0.9, 0.1], [0.5, 0.5]]], rtol=1e-6)
    assert_allclose(probabilities_BC, [[0.7, 0.3]], rtol=1e-6)


@pytest.mark.parametrize("space", ["probabilities", "logits"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_members_are_averaged_as_the_evaluation_does(space: str, temperature: float) -> None:
    rng = np.random.default_rng(1)
    members = [rng.normal(0, 4, (6, heads, 3)).astype(np.float32) for heads in (1, 2)]
    weights = (0.3, 0.7)
    parts_BPC, probabilities_BC = Combination(weights, space, temperature)(members)
    predictions = [probabilities_of(member) for member in members]
    assert_allclose(parts_BPC, np.stack(predictions, axis=1), rtol=1e-5, atol=1e-7)
    expected = tempered(average(predictions, weights, space), temperature)
    assert_allclose(probabilities_BC, expected, rtol=2e-5, atol=1e-7)
