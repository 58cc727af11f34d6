"""One model in two precisions: which of them its layers compute in is settled where a function is traced."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

LOW = "mixed_bfloat16"  # float32's range, so that no loss has to be scaled


@contextmanager
def computing_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Within, the layers of a model that was built in `LOW` compute in a dtype policy of this name.

    Weights are float32 in both, and layers that were given a policy of their own keep it.
    """
    layers = [layer for layer in model._flatten_layers() if layer.dtype_policy.name == LOW]
    for layer in layers:
        layer.dtype_policy = precision
    try:
        yield
    finally:
        for layer in layers:
            layer.dtype_policy = LOW
