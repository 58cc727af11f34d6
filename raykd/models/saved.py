"""Saved models: a Keras model of the user's own as a ready teacher.

Reader: the model builder.

Axes: B batch, C classes.
"""

import math
import zipfile

import keras
from keras import ops

from raykd.config import SavedConfig
from raykd.data.encoding import InputSpec
from raykd.data.presets import saved_file
from raykd.errors import InputError

_SMALLEST = 1e-6  # probability, as of external teachers


def saved(config: SavedConfig, inputs: InputSpec, classes: int) -> keras.Model:
    """The file's model from inputs [B, length] to logits [B, 1, C], with its own weights.

    Logits of probabilities are log(clip(p, 1e-6, 1)).
    Raises: InputError when the file is no model that Keras's safe mode loads, it has several inputs or outputs, reads
    inputs of another size, or knows another number of classes.
    """
    file = saved_file(config.path)
    try:
        model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what the damaged or unknown layer does.
        # Keras takes for a missing file what is no zip archive.
        whole = file.suffix in (".h5", ".hdf5") or zipfile.is_zipfile(file)
        reason = " ".join(str(error).split())[:300] if whole else "no zip archive, as a .keras file is"
        raise InputError(
            f"model.path: {config.path}: Keras can't load it in safe mode ({type(error).__name__}: {reason}); save it "
            "as .keras, with its own layers registered and without Lambda layers"
        ) from error
    if len(model.inputs) != 1 or len(model.outputs) != 1 or tuple(model.outputs[0].shape[1:]) != (classes,):
        shapes = [tuple(tensor.shape) for tensor in model.outputs]
        raise InputError(
            f"model.path: {config.path}: found {len(model.inputs)} input(s) and outputs {shapes}, expected one input "
            f"and one output (None, {classes}): a number for each of the data's {classes} classes"
        )
    for layer in model.layers:
        layer.trainable = True  # It is never trained, but all its weights count as parameters.
    read = keras.Input(_row_shape(model, inputs, config.path), dtype=inputs.dtype, name="inputs")
    shape = tuple(model.inputs[0].shape[1:])
    given = read if shape == tuple(read.shape[1:]) else keras.layers.Reshape(shape)(read)
    outputs = ops.cast(model(ops.cast(given, model.inputs[0].dtype)), "float32")
    if config.outputs == "probabilities":
        outputs = ops.log(ops.clip(outputs, _SMALLEST, 1.0))
    return keras.Model(read, keras.layers.Reshape((1, classes), name="logits", dtype="float32")(outputs))


def _row_shape(model: keras.Model, inputs: InputSpec, path: str) -> tuple[int | None]:
    """Of a row as the examples have it: any number of tokens, or the number that the model reads."""
    shape = model.inputs[0].shape[1:]
    if shape == (None,) and inputs.kind == "tokens":
        return (None,)
    whole = inputs.kind == "features" or inputs.width(1) == inputs.length
    if None in shape or math.prod(shape) != inputs.length or not whole:
        buckets = "" if inputs.kind == "features" else f", padded to multiples of {inputs.bucket} (data.bucket)"
        raise InputError(
            f"model.path: {path}: its input is {tuple(model.inputs[0].shape)}, but the examples have {inputs.kind} of "
            f"length {inputs.length}{buckets}; give it the data that it was trained on"
        )
    return (inputs.length,)
