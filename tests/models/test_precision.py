"""A model built in bfloat16 computes in float32 where it is told to."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from test_build import CASES

from raykd.config import ModelConfig
from raykd.data.encoding import InputSpec
from raykd.models.build import ModelSpec, build
from raykd.models.precision import LOW, computing_in


@pytest.mark.parametrize(("config", "inputs", "rows"), CASES)
def test_both_precisions_of_one_model(config: ModelConfig, inputs: InputSpec, rows: Any) -> None:
    spec = ModelSpec(config, inputs, classes=3, heads=2)
    whole, low = (build(spec, 5, precision) for precision in ("float32", LOW))

    @tf.function(autograph=False)
    def in_float32(batch: Any) -> Any:
        with computing_in(low, "float32"):
            return low(batch, training=False)

    expected = whole(rows, training=False).numpy()
    np.testing.assert_allclose(in_float32(rows).numpy(), expected, rtol=0, atol=1e-5)
    as_built = low(rows, training=False).numpy()
    assert 0 < np.abs(as_built - expected).max() < 0.05
    assert {variable.dtype for variable in low.trainable_variables} == {"float32"}
