"""Models that tests bring along, named in a configuration as `bodies:<function>`."""

from typing import Any

import keras


def batch_normalised(inputs: Any) -> keras.Model:
    """A hidden layer normalised over the global batch."""
    features = keras.Input((inputs.length,), dtype=inputs.dtype)
    hidden = keras.layers.Dense(8, activation="relu")(features)
    return keras.Model(features, keras.layers.BatchNormalization(synchronized=True)(hidden))


def mean_of_tokens(inputs: Any) -> keras.Model:
    """The mean of small token vectors: reads rows faster than most models."""
    ids = keras.Input((None,), dtype="int32")
    vectors = keras.layers.Embedding(inputs.vocabulary, 4)(ids)
    return keras.Model(ids, keras.layers.GlobalAveragePooling1D()(vectors))
