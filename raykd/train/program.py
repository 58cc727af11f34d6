"""A compiled training program: model, optimizer and step, reused by every training of the same shape.

Temperature, alpha and the learning rate are variables of the program, so that both stages, all paired
students and all trials of a sweep run the same compiled step.

Axes: B batch of a replica, A of all replicas, K heads, N teachers, C classes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from raykd.artifacts import fingerprint
from raykd.errors import InputError
from raykd.models.build import build
from raykd.models.hidden import Hidden
from raykd.train.batches import spread, trimmed
from raykd.train.checkpoint import Values, assign, values_of
from raykd.train.exchange import Exchange
from raykd.train.faster import Faster, Steps
from raykd.train.imitation import Imitation
from raykd.train.job import TrainJob
from raykd.train.kept import Kept
from raykd.train.optimizers import WarmupCosine, in_a_row, optimizer_of, update
from raykd.train.strategy import Place
from raykd.train.totals import Batch, Totals, next_of, repeated

_PROGRAMS: Kept["Program"] = Kept(lambda program: [*program.variables, *program.optimizer.variables])
_TOGETHER = 8  # steps of a window
_SHAPING = {"batch_size", "clip_norm", "weight_decay", "jit_compile", "optimizer", "precision", "accumulate", "augment"}


class Program:
    """Model, optimizer and step for one shape of training; `start` sets everything that varies."""

    def __init__(self, job: TrainJob, place: Place) -> None:
        training = job.training
        self._batch_size = training.batch_size // place.updates_per_step
        self._accumulate = training.accumulate
        # Teachers whose hidden states are imitated are in one precision: the student too.
        self._precisions = training.precisions if place.compiles and job.hidden is None else training.precisions[:1]
        self._others = {precision: build(job.model, 0, precision) for precision in self._precisions[1:]}
        self._objective = job.objective
        self._classes = job.model.classes
        self._augmentation = job.augmentation
        self._place = place
        self._alone = place.strategy.num_replicas_in_sync == 1
        self._gathers = job.objective.needs_batch and bool(job.logits) and not self._alone
        with place.strategy.scope():
            self.model = build(job.model, 0, self._precisions[0])
            self._rate = WarmupCosine()
            self._alpha, self._temperature = (tf.Variable(1.0, trainable=False) for _ in range(2))
            self.imitation = None if job.hidden is None else Imitation(job, self.model)
            beside = [] if self.imitation is None else self.imitation.variables
            self._trained = [*self.model.trainable_variables, *beside]
            self._exchange = Exchange(place, self._trained, job.model, training.batch_size)
            self.optimizer: Any = optimizer_of(training, self._rate, self._trained, here=place.compiles)
        compiled = bool(training.jit_compile) and place.compiles
        if compiled and not isinstance(place.strategy, tf.distribute.OneDeviceStrategy) and _synchronises(self.model):
            if training.jit_compile != "auto":
                raise InputError(
                    f"{job.folder}: training.jit_compile: found true, but XLA can't compile a synchronized "
                    "BatchNormalization on workers or several accelerators; set it to false or auto"
                )
            compiled = False
        self.variables: list[Any] = [*self.model.variables, *beside]  # A checkpoint holds them all.
        self._fresh_optimizer = values_of(self.optimizer.variables)
        self._compiled_update = _compiled(self._update, compiled and (self._alone or in_a_row(self.optimizer)))
        both = compiled and training.jit_compile == "auto"
        compilations = (False, True) if both else (compiled,)
        ways = [self.singly(way, precision) for precision in self._precisions for way in compilations]
        if both and self._alone and job.model.inputs.kind == "features":  # Tokens have widths of their own by batch.
            ways += [self.in_windows(precision) for precision in self._precisions]
        self.steps = Faster(ways, place.sum_over_workers) if len(ways) > 1 else ways[0]

    @property
    def settled(self) -> bool:
        """Whether its steps are no longer tried in several ways."""
        return not isinstance(self.steps, Faster) or self.steps.chosen is not None

    def start(self, job: TrainJob, updates: int, weights: Values) -> None:
        """Set weights, optimizer and the job's own numbers as at the beginning of a training."""
        assign(self.model.variables, weights, job.folder)
        assign(self.optimizer.variables, self._fresh_optimizer, job.folder)
        # Asynchronous updates of a step add up: each takes its part of the rate.
        self._rate.peak.assign(job.training.learning_rate / self._place.updates_per_step)
        self._rate.warmup.assign(float(max(1, round(job.training.warmup * updates))))
        self._rate.total.assign(float(updates))
        self._alpha.assign(job.alpha)
        self._temperature.assign(job.temperature)

    def singly(self, compiled: bool, precision: str) -> Steps:
        """Steps whose gradient XLA compiles, or doesn't. Args: precision: a dtype policy to compute in."""
        # Neither a sum over replicas nor the fetching of their rows can be compiled: what is before and after can.
        gradient = _compiled(partial(self._gradient, precision), compiled and not self._gathers)
        step = _compiled(partial(self._step, gradient), compiled and self._alone)
        steps: Steps = tf.function(partial(self._steps, step), autograph=False)
        return steps

    def in_windows(self, precision: str) -> Steps:
        """Steps that XLA compiles as a loop of some: to start each of them can take longer than a small step itself."""
        one = partial(self._step, partial(self._gradient, precision))
        single, window = _compiled(one, True), _compiled(partial(self._window, one), True)
        steps: Steps = tf.function(partial(self._steps_in_windows, single, window), autograph=False)
        return steps

    def _steps(self, step_of: Any, batches: Any, count: tf.Tensor) -> Totals:
        """`count` steps in one call. Args: step_of: a replica's step; batches: a tf.data iterator."""

        def one(step: tf.Tensor, so_far: Totals) -> tuple[tf.Tensor, Totals]:
            batch, waited = next_of(batches)
            loss, rows = self._everywhere(step_of, trimmed(batch))
            return step + 1, so_far.plus(step, loss, rows, waited)

        return repeated(one, count)

    def _steps_in_windows(self, step_of: Any, window_of: Any, batches: Any, count: tf.Tensor) -> Totals:
        """As `_steps`; as many as can be in windows. Args: window_of: a replica's `_window`."""

        def window(number: tf.Tensor, so_far: Totals) -> tuple[tf.Tensor, Totals]:
            taken, waits = list[Batch](), list[tf.Tensor]()
            for _ in range(_TOGETHER):
                with tf.control_dependencies(waits[-1:]):
                    batch, waited = next_of(batches)
                taken.append(self._augmented(batch))
                waits.append(waited)
            together = {name: tf.stack([batch[name] for batch in taken]) for name in taken[0]}
            totals = self._place.strategy.run(window_of, args=(together,))
            return number + 1, so_far.then(number * _TOGETHER, totals._replace(waited=tf.add_n(waits)))

        whole = count // _TOGETHER
        totals = repeated(window, whole)
        with tf.control_dependencies([totals.loss]):
            rest = self._steps(step_of, batches, count - whole * _TOGETHER)
        return totals.then(whole * _TOGETHER, rest)

    def _window(self, step_of: Any, batches: Batch) -> Totals:
        """Some steps of the one replica there is.

        Args: step_of: its step; batches: one after the other, along a first axis.
        """

        def one(step: tf.Tensor, so_far: Totals) -> tuple[tf.Tensor, Totals]:
            loss, rows = step_of({name: values[step] for name, values in batches.items()})
            return step + 1, so_far.plus(step, loss, rows, tf.zeros_like(so_far.waited))

        return repeated(one, tf.constant(_TOGETHER))

    def _everywhere(self, step_of: Any, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """One step in every replica. Returns: loss and rows of all, equal in each of them."""
        strategy = self._place.strategy
        sums = strategy.run(step_of, args=(self._augmented(batch),))
        loss, rows = (strategy.experimental_local_results(total)[0] for total in sums)
        return loss, rows

    def _augmented(self, batch: Batch) -> Batch:
        """Where a stream's rows are still together, in any strategy."""
        return batch if self._augmentation is None else self._augmentation(batch)

    def _step(self, gradient: Any, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """One update of one replica, from its part of the worker's batch. Returns: loss and rows of all replicas.

        Args: gradient: `_gradient`, compiled or not.
        """
        context = tf.distribute.get_replica_context()
        own = int(tf.get_static_value(context.replica_id_in_sync_group)) % self._place.replicas
        sums = gradient(_part(batch, own, self._place.replicas))
        if not self._alone:
            sums = self._exchange(sums)
        loss, rows = self._compiled_update(sums, own)
        return loss, rows

    def _update(self, sums: tf.Tensor, own: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Update with what `_gradient` returned, summed over all replicas. Returns: loss and rows."""
        update(self.optimizer, sums[:-2], self._trained, own)
        return sums[-2], sums[-1]

    def _gradient(self, precision: str, batch: Batch) -> tf.Tensor:
        """This replica's part of the gradient, then summed loss and rows, as one vector: one sum over the replicas."""
        sums = self._gradient_of(precision, _part(batch, 0, self._accumulate))
        for part in range(1, self._accumulate):
            # One part after the other: side by side they would need as much memory as the whole.
            with tf.control_dependencies([sums]):
                sums += self._gradient_of(precision, _part(batch, part, self._accumulate))
        return sums

    def _gradient_of(self, precision: str, batch: Batch) -> tf.Tensor:
        sources = [variable.value for variable in self._trained]
        targets = [] if self.imitation is None else self.imitation.targets(batch["inputs"])
        with tf.GradientTape() as tape:
            logits_BKC, hidden = self._forward(precision, batch["inputs"])
            teachers_BNC = spread(batch["teacher_logits"], self._classes) if "teacher_logits" in batch else None
            loss_B = self._loss(batch["label"], logits_BKC, teachers_BNC, batch["weight"])
            if "partner_label" in batch:
                # Cross-entropy is linear in the label: this is that of the mixed one.
                other_B = self._loss(batch["partner_label"], logits_BKC, teachers_BNC, batch["weight"])
                loss_B = batch["share"] * loss_B + (1.0 - batch["share"]) * other_B
            if self.imitation is not None and hidden is not None:
                loss_B += self.imitation.loss(targets, hidden)
            loss = tf.reduce_sum(loss_B * batch["weight"])
            scaled = self.optimizer.scale_loss(loss / self._batch_size)
        gradients = tape.gradient(scaled, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        pieces = [tf.reshape(tf.convert_to_tensor(gradient), [-1]) for gradient in gradients]
        return tf.concat([*pieces, [loss, tf.reduce_sum(batch["weight"])]], axis=0)

    def _forward(self, precision: str, inputs: tf.Tensor) -> tuple[tf.Tensor, Hidden | None]:
        """The student's logits, and its hidden states where they are imitated."""
        if self.imitation is not None:
            hidden = self.imitation.forward(inputs)
            return hidden.logits, hidden
        if precision not in self._others:
            return self.model(inputs, training=True), None
        # Another model with this one's values: layers may keep more than weights in their precision.
        kept = self.model.non_trainable_variables
        trainable, others = ([variable.value for variable in some] for some in (self.model.trainable_variables, kept))
        logits_BKC, updated = self._others[precision].stateless_call(trainable, others, inputs, training=True)
        for variable, value in zip(kept, updated, strict=True):
            variable.assign(value)
        return logits_BKC, None

    def _loss(
        self, labels_B: tf.Tensor, logits_BKC: tf.Tensor, teachers_BNC: tf.Tensor | None, weights_B: tf.Tensor
    ) -> tf.Tensor:
        """Loss of each of this replica's rows, [B]."""
        settings = self._alpha, self._temperature
        if not self._gathers:
            return self._objective(labels_B, logits_BKC, teachers_BNC, *settings, weights_B)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        replica_B = tf.fill([labels_B.shape[0]], tf.cast(replica, tf.int32))
        labels_A, logits_AKC, teachers_ANC, weights_A, replica_A = _gathered(
            labels_B, logits_BKC, teachers_BNC, weights_B, replica_B
        )
        loss_A = self._objective(labels_A, logits_AKC, teachers_ANC, *settings, weights_A)
        # Replicas come in order, not all with equally many rows.
        first = tf.reduce_sum(tf.cast(replica_A < replica, tf.int32))
        return tf.slice(loss_A, [first], [labels_B.shape[0]])


def _synchronises(model: keras.Model) -> bool:
    """Whether its normalisation of batches needs the rows of all replicas."""
    return any(
        isinstance(layer, keras.layers.BatchNormalization) and layer.synchronized for layer in model._flatten_layers()
    )


def _compiled(function: Callable[..., Any], compiled: bool) -> Callable[..., Any]:
    return tf.function(function, jit_compile=True, autograph=False) if compiled else function


def _gathered(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """The rows of all replicas, in one message; gradients flow back to the replica that a row comes from."""
    flat = [tf.cast(tf.reshape(values, [values.shape[0], -1]), tf.float32) for values in tensors]
    own = tf.concat(flat, axis=1)
    whole = tf.ensure_shape(tf.distribute.get_replica_context().all_gather(own, axis=0), [None, own.shape[1]])
    columns = tf.split(whole, [values.shape[1] for values in flat], axis=1)
    return [
        tf.cast(tf.reshape(column, [-1, *values.shape[1:]]), values.dtype)
        for values, column in zip(tensors, columns, strict=True)
    ]


def _part(batch: Batch, part: Any, parts: int) -> Batch:
    """One of `parts` equal parts of the rows."""
    if parts == 1:
        return batch
    rows = batch["weight"].shape[0] // parts
    return {name: values[part * rows : (part + 1) * rows] for name, values in batch.items()}


def program_for(job: TrainJob, place: Place) -> Program:
    """The program of this job's shape, compiled when it first runs in this process."""
    shape = job.training.model_dump(include=_SHAPING)
    hidden = job.hidden and (job.hidden.loss, [teacher.model.key for teacher in job.hidden.teachers])
    mixed = job.augmentation.rows_per_stream if job.augmentation else None
    objective, strategy = vars(job.objective), type(place.strategy).__name__
    key = fingerprint(job.model.key, objective, len(job.logits), shape, strategy, hidden, mixed)
    return _PROGRAMS.get(key, lambda: Program(job, place))
