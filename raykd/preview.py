"""The dry run: what a job would do, what is done already, and what the rest costs."""

from dataclasses import dataclass, replace

from raykd.artifacts import EVALUATION, SWEEP, RunDirectory
from raykd.config import Config
from raykd.distill.rounds import POOL, rounds
from raykd.distill.trials import shortened, trials_in_all
from raykd.plan import plan_of
from raykd.schedule import unfinished


@dataclass(frozen=True)
class Planned:
    """One step as `--dry-run` shows it; None before ingestion has counted rows.

    Args: rows: row passes; parameters: of the model that it trains or runs; flops: floating-point operations;
    trials: of a sweep.
    """

    step: str
    done: bool
    rows: int | None
    parameters: int | None = None
    flops: float | None = None
    trials: int | None = None


def preview(config: Config, last: str = EVALUATION) -> list[Planned]:
    """What `run` would do, without doing it: every step up to `last`, whether it is done, and what it costs.

    Args: last: the part of the job that comes last, as `plan_of` has it.
    """
    directory = RunDirectory.at(config.storage_path, config.name)
    steps = plan_of(config, last)
    missing = unfinished(steps, directory)
    rows = _rows_by_split(directory) if steps[0] not in missing else None
    if rows is None:
        planned = [Planned(step.name, step not in missing, None) for step in steps]
    else:
        planned = [_planned(step.name, step not in missing, config, directory, rows) for step in steps]
    return [replace(step, trials=trials_in_all(config)) if step.step == SWEEP else step for step in planned]


def _planned(step: str, done: bool, config: Config, run: RunDirectory, rows: dict[str, int]) -> Planned:
    from raykd.data.shards import read_manifest
    from raykd.distill.stages import imitated_in_step, model_of_step
    from raykd.models.build import count_parameters, flops_per_position

    passes = _row_passes(step, config, rows)
    manifest = read_manifest(run)
    spec = model_of_step(config, step, manifest)
    if spec is None:
        return Planned(step, done, passes)
    positions = manifest.inputs.length if manifest.inputs.kind == "tokens" else 1
    trains = not step.startswith(("logits/", "predictions/")) and spec.config.type != "saved"
    directions = 3 if trains else 1  # Backward costs twice as much as forward.
    imitated = sum(flops_per_position(teacher) for teacher in imitated_in_step(config, step, manifest))
    flops = float((directions * flops_per_position(spec) + imitated) * positions * passes)
    return Planned(step, done, passes, count_parameters(spec), flops)


def _rows_by_split(run: RunDirectory) -> dict[str, int]:
    from raykd.data.shards import SPLITS, read_manifest

    manifest = read_manifest(run)
    return {split: manifest.rows(split) for split in SPLITS}


def _row_passes(step: str, config: Config, rows: dict[str, int]) -> int:
    """Rows that the step reads, counted once per epoch; training that stops early reads fewer."""
    from raykd.data.shards import SCORED_SPLITS
    from raykd.evaluate.predictions import predicted_splits

    kind, _, name = step.partition("/")
    if kind == "predictions":
        return sum(rows[split] for split in predicted_splits(name))
    if kind == "teachers" and config.teacher(name).model.type == "saved":
        return rows["validation"]
    if kind == "teachers":
        return rows["train"] * config.teacher(name).training.epochs
    if kind == "logits":
        return 0 if name in config.external else sum(rows[split] for split in SCORED_SPLITS)
    if step == "students/plain":
        return rows["train"] * config.student.training.epochs
    if step in {one.folder for one in rounds(config)}:
        return sum(rows[split] for split in POOL) * config.distill.noisy_student.training.epochs
    if kind == "students":
        return _stage_rows(config, rows)
    if step == SWEEP:
        return round(trials_in_all(config) * config.sweep.share * _stage_rows(shortened(config), rows))
    return rows["test"] if step == EVALUATION else sum(rows.values())


def _stage_rows(config: Config, rows: dict[str, int]) -> int:
    stage1, stage2 = config.distill.stage1, config.distill.stage2
    return stage1.epochs * sum(rows[split] for split in stage1.pool) + stage2.epochs * rows["train"]
