"""Bodies that read numbers: MLP over a vector, CNN over a square image."""

import keras

from raykd.config import CNNConfig, MLPConfig
from raykd.data.encoding import InputSpec
from raykd.errors import InputError


def mlp(config: MLPConfig, inputs: InputSpec) -> keras.Model:
    """Features [B, length] -> the last hidden layer, [B, hidden[-1]]."""
    features, states = _scaled(inputs)
    states = keras.layers.Dropout(config.input_dropout)(states)
    for units in config.hidden:
        states = keras.layers.Dense(units, activation="relu", kernel_initializer="he_normal")(states)
        states = keras.layers.Dropout(config.dropout)(states)
    return keras.Model(features, states)


def cnn(config: CNNConfig, inputs: InputSpec) -> keras.Model:
    """Features [B, side * side * channels] -> a dense layer over convolved and pooled maps, [B, width].

    Raises: InputError when the features are no square image.
    """
    side = inputs.side
    if side is None:
        raise InputError(
            f"model.type: cnn reads square images, but an example has {inputs.length} numbers; choose mlp or pad them"
        )
    features, states = _scaled(inputs)
    states = keras.layers.Reshape((side, side, inputs.channels))(states)
    for filters in config.filters:
        convolution = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")
        states = keras.layers.MaxPooling2D(padding="same")(convolution(states))
    states = keras.layers.Dense(config.width, activation="relu")(keras.layers.Flatten()(states))
    return keras.Model(features, keras.layers.Dropout(config.dropout)(states))


def _scaled(inputs: InputSpec) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    features = keras.Input((inputs.length,), dtype=inputs.dtype, name="inputs")
    scale = 1 / 255 if inputs.dtype == "uint8" else 1.0
    return features, keras.layers.Rescaling(scale)(features)
