"""Predictions for raw rows: encoded, batched by length, through every member, averaged, calibrated.

Loads TensorFlow.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from raykd.artifacts import EXAMPLES, RunDirectory
from raykd.data.encoding import InputSpec, encode_rows
from raykd.data.shards import Arrays, unpack
from raykd.ensemble import average, tempered
from raykd.errors import InputError
from raykd.predict.members import Members
from raykd.train.checkpoint import load_weights
from raykd.train.predict import Predictor, probabilities_of


class Scorer:
    """The models of a run, loaded.

    Args: inputs: what they read; truncation: of pairs that are too long, as `data.truncation`.
    """

    def __init__(self, run: RunDirectory, members: Members, inputs: InputSpec, truncation: str) -> None:
        self._truncation = truncation
        self._inputs = inputs
        self._weights = members.weights
        self._space = members.space
        self._temperature = members.temperature
        self._predictors = [Predictor(member.spec, load_weights(run, member.folder)) for member in members.members]
        tokens = inputs.kind == "tokens"
        self._tokenizer = Tokenizer.from_str(run.read_bytes(f"{EXAMPLES}/tokenizer.json").decode()) if tokens else None

    def __call__(self, rows: pa.Table) -> NDArray[np.float64]:
        """Calibrated probabilities [rows, classes]. Args: rows: `text_0` (and `text_1`) or `features`.

        Raises: InputError when the features are others than those that the models have learned from.
        """
        arrays = self._arrays(rows)
        predictions = [probabilities_of(predictor.logits(arrays)) for predictor in self._predictors]
        return tempered(average(predictions, self._weights, self._space), self._temperature)

    def _arrays(self, rows: pa.Table) -> Arrays:
        if self._tokenizer is None:
            inputs: Any = _features(rows["features"], self._inputs)
        else:
            texts = [rows[name].to_pylist() for name in ("text_0", "text_1") if name in rows.column_names]
            encoded, _ = encode_rows(self._tokenizer, texts, self._truncation, self._inputs.length)
            offsets = np.cumsum([0, *(len(row) for row in encoded)])
            inputs = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(np.concatenate(encoded)))
        unknown = np.full(len(rows), -1, np.int32)
        return unpack(pa.table({"label": unknown, "inputs": inputs}), self._inputs)


def _features(column: pa.ChunkedArray, inputs: InputSpec) -> pa.FixedSizeListArray:
    lists = column.combine_chunks()
    if lists.type.list_size != inputs.length:
        raise InputError(
            f"data.columns.features: found {lists.type.list_size} numbers in a row, expected {inputs.length} as the "
            "models have learned from; name the right columns"
        )
    values = lists.flatten().to_numpy()
    if values.dtype == inputs.dtype:
        return lists
    if inputs.dtype == "uint8" and not np.isin(np.unique(values), np.arange(256)).all():
        raise InputError(
            "data.columns.features: found numbers other than 0, 1, ... 255, expected those alone as the models have "
            "learned from; scale them"
        )
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(inputs.dtype)), inputs.length)
