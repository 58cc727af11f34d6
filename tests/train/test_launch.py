"""Training on workers through Ray Train: faults end it with a reason, or cost at most one checkpoint's interval."""

import pytest
from small import ignore, small_job

from raykd.artifacts import RunDirectory
from raykd.config import ScalingConfig, TrainingConfig
from raykd.data.shards import Manifest
from raykd.train.checkpoint import checkpoints_in
from raykd.train.launch import launch

TWO = ScalingConfig(workers=2)


def test_two_workers_stop_at_a_wild_loss_with_step_and_checkpoint(
    local_ray: None, run_directory: RunDirectory, manifest: Manifest
) -> None:
    # The rate rises from 0, so some steps pass before it is too large.
    wild = TrainingConfig(
        epochs=6, batch_size=16, learning_rate=1e38, warmup=1.0, optimizer="sgd", clip_norm=1e30,
        jit_compile=False, steps_per_call=2, checkpoint_steps=1,
    )  # fmt: skip
    with pytest.raises(FloatingPointError) as caught:
        launch(small_job("wild", training=wild), run_directory, ignore, TWO)
    [kept] = checkpoints_in(run_directory, "wild")
    step = int(kept.partition("step-")[2].removesuffix(".npz"))
    expected = f"no longer finite at step {step + 1}; the last good checkpoint is {run_directory.path(kept)}"
    assert expected in str(caught.value)
