"""What the replicas of a step tell each other: the sum of their gradients, of large tables only rows that have one.

A batch has a few thousand of a vocabulary's words, and all others' gradients are 0: with most of a small student's
weights in its table of words, those need not travel.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import tensorflow as tf

from raykd.models.build import ModelSpec
from raykd.train.strategy import Place

TABLE_VALUES = 3 << 20  # of a smaller table, to ask which rows are needed takes as long as to send all
# Each word of these looks its row up, and nothing else makes use of it; a model of the user's own may do otherwise.
_LOOK_UP = ("cross_encoder", "bi_encoder", "bilstm", "pretrained")
_TABLES = ("tokens", "embeddings")  # TextEmbedding's, and Keras's


class Exchange:
    """Sums over all replicas, in as few messages as can be: beside the computation a short one's delay counts.

    Args: variables: of this model, whose gradients are summed; batch_size: rows of all replicas.
    """

    def __init__(self, place: Place, variables: Sequence[Any], model: ModelSpec, batch_size: int) -> None:
        sizes = [math.prod(variable.shape) for variable in variables]
        words = model.inputs.vocabulary
        self._most = batch_size * model.inputs.length  # words of a step
        # Accelerators have links of their own, and wait for no count of rows.
        sends_rows = place.workers > 1 and not tf.config.list_logical_devices("GPU")
        sends_rows = sends_rows and model.config.type in _LOOK_UP and 2 * self._most <= words
        self._tables = [  # first value in the row of all gradients, rows, width
            (sum(sizes[:index]), *variable.shape)
            for index, (variable, size) in enumerate(zip(variables, sizes, strict=True))
            if sends_rows and size >= TABLE_VALUES and variable.name in _TABLES and variable.shape[0] >= words
        ]

    def __call__(self, row: tf.Tensor) -> tf.Tensor:
        """The sums of all replicas' rows, equal in each. Call it in a replica.

        Args: row: float32, the gradients of the variables one after the other, then anything else.
        """
        if not self._tables:
            return _summed(row)
        between, tables = self._cut(row)
        used = _summed(tf.concat([_rows_in_use(table) for table in tables], axis=0)) > 0.0
        numbers = [tf.where(rows) for rows in tf.split(used, [rows for _, rows, _ in self._tables])]
        # TensorFlow wants messages of one length: rows of zeros at the end.
        sent = [_lengthened(tf.gather_nd(table, some), self._most) for table, some in zip(tables, numbers, strict=True)]
        pieces = [*(tf.reshape(rows, [-1]) for rows in sent), *between]
        ends = [0, *accumulate(piece.shape[0] for piece in pieces)]
        message = _summed(tf.concat(pieces, axis=0))
        summed = [message[start:end] for start, end in pairwise(ends)]  # Slices are no copies; tf.split makes some.
        before, *behind = summed[len(sent) :]
        whole = [before]
        for (_, rows, width), some, values, after in zip(
            self._tables, numbers, summed[: len(sent)], behind, strict=True
        ):
            values = tf.reshape(values, [-1, width])[: tf.shape(some)[0]]
            whole += [tf.reshape(tf.scatter_nd(some, values, tf.constant([rows, width], tf.int64)), [-1]), after]
        return tf.concat(whole, axis=0)

    def _cut(self, row: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """What is before, between and after the tables, and the tables."""
        ends = [0, *(part for first, rows, width in self._tables for part in (first, first + rows * width))]
        parts = [row[start:end] for start, end in zip(ends, [*ends[1:], None], strict=True)]
        tables = [
            tf.reshape(part, [rows, width]) for part, (_, rows, width) in zip(parts[1::2], self._tables, strict=True)
        ]
        return parts[::2], tables


def _lengthened(rows: tf.Tensor, count: int) -> tf.Tensor:
    """[n, W] -> [count, W], with zeros."""
    return tf.ensure_shape(tf.pad(rows, [[0, count - tf.shape(rows)[0]], [0, 0]]), [count, rows.shape[1]])


def _rows_in_use(table: tf.Tensor) -> tf.Tensor:
    """1 for each row that isn't 0 throughout, one that isn't finite among them."""
    return tf.cast(tf.reduce_any(tf.not_equal(table, 0.0), axis=1), tf.float32)


def _summed(values: tf.Tensor) -> tf.Tensor:
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
