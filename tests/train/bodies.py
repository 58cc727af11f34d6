"""Models that tests bring along, named in a configuration as `bodies:<function>`."""

from typing import Any

import keras


def batch_normalised(inputs: Any) -> keras.Model:
    """A hidden layer normalised over the global batch."""
    features = keras.Input((inputs.length,), dtype=inputs.dtype)
    hidden = keras.layers.Dense(8, activation="relu")(features)
    return keras.Model(features, keras.layers.BatchNormalization(synchronized=True)(hidden))
