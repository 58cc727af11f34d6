"""Loads an exported model and predicts: raw texts or numbers in, probabilities out.

This file stands on its own in every bundle: it needs NumPy, for texts `tokenizers`, and the runtime of one format:
tensorflow (saved_model), onnxruntime (onnx) or ai-edge-litert (litert).

    from load import Bundle
    Bundle("/path/to/bundle")([{"query": "...", "passage": "..."}])  # [rows, classes]
    echo '[{"query": "...", "passage": "..."}]' | python load.py     # the same from a shell

Axes: B rows, L length, C classes, P parts.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MANIFEST = "manifest.json"
FILES = {"saved_model": "saved_model", "keras": "model.keras", "onnx": "model.onnx", "litert": "model.tflite"}
_WITHOUT_RAYKD = ("saved_model", "onnx", "litert")

Outputs = dict[str, Any]
Run = Callable[[Any], Outputs]


class Bundle:
    """An exported model. `class_names` stand in the order of the classes; empty where labels are numbers alone.

    Args:
        folder: the bundle.
        format: saved_model, onnx or litert (keras too, where raykd is installed); default: the first that is there.
        threads: that one call computes with; default: the runtime's own choice.
    """

    def __init__(self, folder: str | Path, format: str | None = None, threads: int | None = None) -> None:
        folder = Path(folder)
        self.manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        self.fields: list[str] = self.manifest["fields"]
        self.parts: list[str] = self.manifest["parts"]
        self.class_names: list[str] = self.manifest.get("class_names", [])
        self._inputs: dict[str, Any] = self.manifest["inputs"]
        there = [name for name in _WITHOUT_RAYKD if name in self.manifest["formats"]]
        chosen = format or next(iter(there), "none")
        if chosen not in self.manifest["formats"]:
            raise ValueError(f"{folder}: format {chosen}, expected one of {', '.join(self.manifest['formats'])}")
        self.format = chosen
        self._run = _RUNTIMES[chosen](str(folder / FILES[chosen]), threads, self._inputs["pad_id"])
        self._tokenizer: Any = None
        if self._inputs["kind"] == "tokens":
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._tokenizer.enable_truncation(self._inputs["length"])

    def __call__(self, rows: Sequence[Any]) -> Any:
        """Probabilities float32 [B, C].

        Args: rows: one mapping from field to value each, or the values alone, in the order of `fields`; a single
        field's value may stand without a list around it. Texts are strings; numbers are lists.
        """
        return self.outputs(rows)["probabilities"]

    def outputs(self, rows: Sequence[Any]) -> Outputs:
        """`probabilities` [B, C] and, from saved_model and keras, `parts` [B, P, C]: what they are the average of."""
        return self.run(self.encode(rows))

    def encode(self, rows: Sequence[Any]) -> Any:
        """The model's inputs [B, L]: ids, padded as in training, or numbers. Args: rows: as in a call."""
        values = [self._values(row) for row in rows]
        if self._tokenizer is None:
            return np.asarray([row[0] for row in values], self._inputs["dtype"]).reshape(len(values), -1)
        texts = [row[0] if len(row) == 1 else tuple(row) for row in values]
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        if self.manifest.get("truncation") == "only_second" and len(self.fields) == 2:
            self._keep_queries(texts, encoded)
        longest = max((len(ids) for ids in encoded), default=1)
        bucket = self._inputs["bucket"]
        width = min(-(-longest // bucket) * bucket, self._inputs["length"])
        inputs = np.full((len(encoded), width), self._inputs["pad_id"], np.int32)
        for row, ids in enumerate(encoded):
            inputs[row, : len(ids)] = ids
        return inputs

    def _keep_queries(self, texts: Sequence[Any], encoded: list[Any]) -> None:
        """Cut pairs that are too long at their second text, as in training, where that leaves a token of it."""
        length = self._inputs["length"]
        room = length - self._tokenizer.num_special_tokens_to_add(is_pair=True)
        long = [row for row, ids in enumerate(encoded) if len(ids) == length]
        self._tokenizer.no_truncation()
        queries = self._tokenizer.encode_batch_fast([texts[row][0] for row in long], add_special_tokens=False)
        whole = [row for row, query in zip(long, queries, strict=True) if room // 2 < len(query.ids) < room]
        self._tokenizer.enable_truncation(length, strategy="only_second")
        for row, cut in zip(whole, self._tokenizer.encode_batch_fast([texts[row] for row in whole]), strict=True):
            encoded[row] = cut.ids
        self._tokenizer.enable_truncation(length)

    def run(self, inputs: Any) -> Outputs:
        """As `outputs`, of inputs [B, L] as `encode` gives them."""
        return self._run(inputs)

    def _values(self, row: Any) -> Sequence[Any]:
        if isinstance(row, Mapping):
            return [row[name] for name in self.fields]
        if len(self.fields) == 1 and not (isinstance(row, list | tuple) and len(row) == 1):
            return [row]
        if len(row) != len(self.fields):
            raise ValueError(f"found {len(row)} values, expected {len(self.fields)}: {', '.join(self.fields)}")
        return list(row)


def _saved_model(path: str, threads: int | None, pad_id: int) -> Run:
    import tensorflow as tf

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = tf.saved_model.load(path)
    # The model must stay: its variables go with it.
    return lambda inputs: {name: value.numpy() for name, value in model.serve(tf.constant(inputs)).items()}


def _keras(path: str, threads: int | None, pad_id: int) -> Run:
    import keras
    import tensorflow as tf

    from raykd.export import model as _layers  # noqa: F401  (registers the layers)

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    call = tf.function(keras.models.load_model(path, compile=False), reduce_retracing=True)
    return lambda inputs: {name: value.numpy() for name, value in call(tf.constant(inputs), training=False).items()}


def _onnx(path: str, threads: int | None, pad_id: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    [name] = [one.name for one in session.get_inputs()]
    return lambda inputs: {"probabilities": session.run(None, {name: inputs})[0]}


def _litert(path: str, threads: int | None, pad_id: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    [asked] = interpreter.get_input_details()
    [answered] = interpreter.get_output_details()
    length = asked["shape_signature"][1]  # -1 where any is taken

    def run(inputs: Any) -> Outputs:
        if length > 0 and inputs.shape[1] < length:
            inputs = np.pad(inputs, ((0, 0), (0, length - inputs.shape[1])), constant_values=pad_id)
        interpreter.resize_tensor_input(asked["index"], inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(asked["index"], inputs)
        interpreter.invoke()
        return {"probabilities": interpreter.get_tensor(answered["index"])}

    return run


_RUNTIMES = {"saved_model": _saved_model, "keras": _keras, "onnx": _onnx, "litert": _litert}


if __name__ == "__main__":
    json.dump(Bundle(Path(__file__).parent)(json.load(sys.stdin)).tolist(), sys.stdout)
