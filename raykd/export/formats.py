"""Writes a model in each format. The packages of extras are imported on first use.

Axes: B rows, L length.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf
from tokenizers import Tokenizer

from raykd.config import ExportFormat
from raykd.errors import InputError
from raykd.export.model import Servable, as_keras
from raykd.export.wordpiece import text_encoder
from raykd.models.norm import for_kernels

_ONE = "erfc_one"


def write(servable: Servable, format: ExportFormat, path: Path) -> None:
    """Write the model in this format. Raises: InputError where the format can't hold it."""
    _WRITERS[format](servable, path)


def _saved_model(servable: Servable, path: Path) -> None:
    """Signature `serve` takes inputs [B, L]; with `reads_texts`, `serve_texts` takes the strings [B] themselves."""
    model = as_keras(servable)
    archive = keras.export.ExportArchive()

    def serve(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        with for_kernels():
            outputs: dict[str, tf.Tensor] = model(inputs, training=False)
        return outputs

    archive.add_endpoint("serve", serve, _signature(model))
    if servable.reads_texts:
        assert servable.tokenizer is not None
        encode = text_encoder(Tokenizer.from_str(servable.tokenizer), servable.inputs)
        names = [f"text_{place}" for place in range(len(servable.fields))]
        texts = [tf.TensorSpec([None], tf.string, name=name) for name in names]
        archive.add_endpoint("serve_texts", lambda *columns_B: serve(encode(columns_B)), texts)
    archive.write_out(str(path), verbose=False)


def _keras(servable: Servable, path: Path) -> None:
    as_keras(servable).save(path)


def _onnx(servable: Servable, path: Path) -> None:
    model = _probabilities_alone(as_keras(servable))
    model.export(str(path), format="onnx", verbose=False, input_signature=_signature(model))
    _finish_onnx(path)


def _signature(model: keras.Model) -> list[tf.TensorSpec]:
    return [tf.TensorSpec(model.input.shape, model.input.dtype, name="inputs")]


def _probabilities_alone(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, model.output["probabilities"])


def _finish_onnx(path: Path) -> None:
    """Name dimensions and output for what they are, and replace Erfc, which the converter writes but ONNX hasn't."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(path)
    graph = model.graph
    [asked], [answered] = graph.input, graph.output
    nodes = [helper.make_node("Identity", [answered.name], ["probabilities"])]
    answered.name = "probabilities"
    for tensor, names in ((asked, ("rows", "length")), (answered, ("rows", "classes"))):
        for dimension, name in zip(tensor.type.tensor_type.shape.dim, names, strict=True):
            if not dimension.dim_value:
                dimension.dim_param = name
    for node in reversed(graph.node):
        if node.op_type == "Erfc":  # of the exact GELU: 1 - Erf
            error = f"{node.output[0]}_erf"
            nodes += [helper.make_node("Sub", [_ONE, error], node.output), helper.make_node("Erf", node.input, [error])]
        else:
            nodes.append(node)
    graph.initializer.append(helper.make_tensor(_ONE, TensorProto.FLOAT, [], [1.0]))
    nodes.reverse()
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def _litert(servable: Servable, path: Path) -> None:
    """Weights of 8 bits, multiplied as such where the runtime can (dynamic range).

    One length alone, and recurrent layers unrolled: LiteRT has neither the slices of an open length nor loops
    over time among its own operations.
    """
    model = as_keras(servable, length=servable.inputs.length, unrolled=True)
    try:
        _probabilities_alone(model).export(
            str(path),
            format="litert",
            verbose=False,
            input_signature=_signature(model),
            optimizations=[tf.lite.Optimize.DEFAULT],
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        )
    except Exception as error:  # The converter has no type of its own for an operation that LiteRT hasn't.
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"export.formats: litert can't hold {servable.name}: {reason}; leave litert out or export another model"
        ) from error


_WRITERS: dict[ExportFormat, Callable[[Servable, Path], None]] = {
    "saved_model": _saved_model,
    "keras": _keras,
    "onnx": _onnx,
    "litert": _litert,
}
