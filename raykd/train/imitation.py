"""The part of a compiled step that holds the student's hidden states to its teachers'.

The teachers run in the step, frozen and without dropout, on the very inputs that the student reads; so each step costs
a forward pass of every teacher more. Hidden states are not kept on disk: they would take L * W * 2 bytes a row.
Where widths differ, a linear map without bias (Jiao et al. 2020, eq. 8) brings the student's states to a teacher's
width: it is trained with the student, saved in its checkpoints, handed from stage to stage, and no part of its weights.

Axes: B batch, L length, W width.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from raykd.artifacts import RunDirectory
from raykd.hidden_losses import STATE_LOSSES, attention_relation
from raykd.models.build import build
from raykd.models.hidden import Hidden, HiddenStates
from raykd.train.checkpoint import Values, assign, load_weights, save_weights, values_of
from raykd.train.job import TrainJob

Tensor = Any


class Imitation:
    """Frozen teachers, projections and the loss on hidden states of one program; made in its strategy's scope.

    Args: job: with `hidden`; student: the program's model.
    """

    def __init__(self, job: TrainJob, student: keras.Model) -> None:
        assert job.hidden is not None
        self._loss = job.hidden.loss
        relates = self._loss == "attention_relation"
        self._student = HiddenStates(student, attention=relates)
        self._models = [build(teacher.model, 0, job.training.precisions[0]) for teacher in job.hidden.teachers]
        self._teachers = [HiddenStates(model, attention=relates) for model in self._models]
        width = self._student.width
        self._projections = [
            None if relates or teacher.width == width else _projection(width, teacher.width)
            for teacher in self._teachers
        ]
        self._weight = tf.Variable(0.0, trainable=False)

    @property
    def variables(self) -> list[Any]:
        """What is trained beside the student: one matrix [student's width, teacher's] where they differ."""
        return [projection.kernel for projection in self._projections if projection is not None]

    def start(self, job: TrainJob, run: RunDirectory) -> None:
        """Read the teachers' weights; draw the projections, or go on with those of the stage before."""
        assert job.hidden is not None
        self._weight.assign(job.hidden.weight)
        for model, teacher in zip(self._models, job.hidden.teachers, strict=True):
            assign(model.variables, load_weights(run, teacher.folder), teacher.folder)
        if self.variables:
            first = self._drawn(job.seed) if job.initial is None else load_weights(run, _folder(job.initial))
            assign(self.variables, first, job.folder)

    def publish(self, job: TrainJob, run: RunDirectory) -> None:
        """Leave the projections to the next stage."""
        if self.variables:
            save_weights(run, _folder(job.folder), values_of(self.variables))

    def targets(self, inputs: Tensor) -> list[Hidden]:
        """The teachers' forward passes."""
        return [teacher(inputs, training=False) for teacher in self._teachers]

    def forward(self, inputs: Tensor) -> Hidden:
        """The student's forward pass, in training."""
        return self._student(inputs, training=True)

    def loss(self, targets: Sequence[Hidden], student: Hidden) -> Tensor:
        """Weight times the mean over teachers of the loss against each, [B] float32.

        Teachers don't share a basis, so their states are never averaged.
        """
        losses = [
            self._against(target, student, projection)
            for target, projection in zip(targets, self._projections, strict=True)
        ]
        return self._weight * tf.add_n(losses) / len(losses)

    def _against(self, target: Hidden, student: Hidden, projection: Any) -> Tensor:
        if target.attention is not None and student.attention is not None:
            return attention_relation(target.attention, student.attention, student.mask)
        states_BLW = student.states if projection is None else projection(tf.cast(student.states, tf.float32))
        return STATE_LOSSES[self._loss](target.states, states_BLW, student.mask)

    def _drawn(self, seed: int) -> Values:
        """Normal values that keep the size of normalised states."""
        generator = np.random.default_rng(seed)
        shapes = [tuple(variable.shape) for variable in self.variables]
        return [generator.normal(0.0, shape[0] ** -0.5, shape).astype(np.float32) for shape in shapes]


def _projection(width: int, wider: int) -> keras.layers.Dense:
    layer = keras.layers.Dense(wider, use_bias=False, dtype="float32")
    layer.build((None, None, width))
    return layer


def _folder(job_folder: str) -> str:
    return f"{job_folder}/projections"
