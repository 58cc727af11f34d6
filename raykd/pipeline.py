"""The whole job, top to bottom: ingest, teachers, logits, sweep, students by recipe, evaluation, report."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import yaml

from raykd.artifacts import EVALUATION, EXAMPLES, SWEEP, RunDirectory, fingerprint, logits_folder, teacher_folder
from raykd.cluster import cluster_now, connect, lanes_for, trials_together
from raykd.config import Config
from raykd.console import Console
from raykd.distill.checks import check_classes, check_sweep, check_unlabelled
from raykd.distill.inheritance import AVERAGING, student_settings, teachers_read
from raykd.distill.recipes import Student, students
from raykd.distill.rounds import POOL, Round, round_settings, rounds
from raykd.distill.trials import BEST, chosen, read_records, shortened, trials_in_all
from raykd.lease import Lease
from raykd.schedule import Step, covered_seconds, needed, phases, unfinished

_FORMAT = 1  # Raise it when a step's output changes for the same settings.
_SCHEMA = 1  # of evaluation.json
_HOW_IT_IS_READ = {"cache", "read_tasks", "prefetch"}  # of the settings of the data: the batches stay the same

Facts = dict[str, Any]
Times = list[tuple[Step, float, float]]


def run(config: Config, *, address: str | None = None, verbose: bool = False) -> Facts:
    """Run what is not done yet of the whole job.

    Args: address: of a running Ray cluster; None starts Ray on this machine. verbose: let Ray's and
    TensorFlow's own messages through.
    Returns: the evaluation, as `evaluation.json` in the run directory has it.
    Raises: InputError for bad input.
    """
    begun = time.time()
    with _directory(config) as (directory, lease):
        steps = plan(config)
        missing = unfinished(steps, directory)
        with Console(config, directory.root, len(steps), len(missing)) as console:
            times = _perform(config, directory, missing, lease, console, address, verbose) if missing else []
            if times or not directory.exists("evaluation.json"):
                directory.write_json("evaluation.json", _evaluation(config, directory, steps, times, begun))
            evaluation: Facts = directory.read_json("evaluation.json")
            _report(config, directory, evaluation)
            console.results(evaluation, directory.path("report.html"))
    return evaluation


def sweep(config: Config, *, address: str | None = None, verbose: bool = False) -> Facts:
    """Run the sweep and what it needs, as far as it is not done yet, whether the configuration enables it or not.

    Args: as `run`.
    Returns: the best trial and the sweep's figures, as `sweep/best.json` in the run directory has them.
    Raises: InputError for bad input.
    """
    config = sweeping(config)
    with _directory(config) as (directory, lease):
        steps = needed(plan(config), SWEEP)
        missing = unfinished(steps, directory)
        with Console(config, directory.root, len(steps), len(missing)) as console:
            if missing:
                _perform(config, directory, missing, lease, console, address, verbose)
            best: Facts = directory.read_json(BEST)
            console.trials(read_records(directory), best)
    return best


def sweeping(config: Config) -> Config:
    """The configuration with its sweep enabled."""
    return config.model_copy(update={"sweep": config.sweep.model_copy(update={"enabled": True})})


@contextmanager
def _directory(config: Config) -> Iterator[tuple[RunDirectory, Lease]]:
    """The run directory, for this process alone, with the configuration in it."""
    directory = RunDirectory.at(config.storage_path, config.name)
    directory.prepare()
    with Lease(directory) as lease:
        directory.write_bytes("config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).encode())
        yield directory, lease


def _perform(
    config: Config,
    directory: RunDirectory,
    missing: list[Step],
    lease: Lease,
    console: Console,
    address: str | None,
    verbose: bool,
) -> Times:
    """Do the missing steps. Returns: each with the times at which it began and ended."""
    times: Times = []
    with connect(address, verbose) as cluster:
        lease.claim_name()
        for phase in phases(missing):
            if phase[0].name != EXAMPLES:
                _check_classes(config, directory)
            if phase[0].alone:
                times.append(_do_alone(phase[0], directory, lease, console))
                continue
            lanes = lanes_for(config, cluster, directory, verbose)
            times += lanes.perform(phase, console.show, lease.check)
            lanes.release()
    return times


def _do_alone(step: Step, run: RunDirectory, lease: Lease, console: Console) -> tuple[Step, float, float]:
    """Do a step in this process. Returns: as `_perform`."""
    begun = time.time()

    def report(event: Facts) -> None:
        lease.check()
        console.show({"step": step.name, "kind": "progress", **event})

    report({"kind": "started"})
    run.begin(step.name, step.fingerprint)
    facts = step.work(run, report)
    run.finish(step.name, step.fingerprint, **facts)
    report({"kind": "finished", **facts})
    return step, begun, time.time()


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
    """What `run` would do, without doing it: every step up to `last`, whether it is done, and what it costs."""
    directory = RunDirectory.at(config.storage_path, config.name)
    steps = needed(plan(config), last)
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
    directions = 1 if step.startswith("logits/") else 3  # Backward costs twice as much as forward.
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

    kind, _, name = step.partition("/")
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


def plan(config: Config) -> list[Step]:
    """Every step of the job, ingestion first, in the order of priority."""
    from raykd.data.shards import SCORED_SPLITS
    from raykd.data.sources import source_fingerprint

    data = config.data.model_dump(exclude=_HOW_IT_IS_READ)
    examples = fingerprint(_FORMAT, source_fingerprint(config.data), data, config.seed)
    made = {EXAMPLES: examples}
    steps = [Step(EXAMPLES, examples, partial(_ingest, config), trains=False, alone=True)]

    def add(name: str, work: Any, needs: list[str], *settings: Any, trains: bool = True, alone: bool = False) -> None:
        made[name] = fingerprint(name, *settings, *(made[need] for need in needs))
        steps.append(Step(name, made[name], work, tuple(needs), trains, alone))

    for name in config.external:
        add(logits_folder(name), partial(_publish, name), [EXAMPLES], trains=False)
    for teacher in config.teachers:
        settings = teacher.model_dump()
        add(teacher_folder(teacher.name), partial(_train_teacher, config, teacher.name), [EXAMPLES], settings)
    for teacher in config.teachers:
        name = teacher.name
        add(logits_folder(name), partial(_score, config, name), [teacher_folder(name)], SCORED_SPLITS)
    if config.sweep.enabled:
        check_sweep(config)
        swept = config.sweep.model_dump(mode="json", exclude={"enabled"})
        own = (
            config.student.model_dump(exclude={"training"}),
            config.distill.model_dump(exclude={"recipes", "noisy_student"}),
        )
        logits = [logits_folder(name) for name in config.teacher_names]
        add(SWEEP, partial(_sweep, config), logits, swept, *own, alone=True)
    # Rounds wait for one another: let them not wait for others too.
    for one in rounds(config):
        needs = [logits_folder(name) for name in one.teachers]
        needs += [SWEEP] if _rounds_follow_sweep(config) else []
        add(one.folder, partial(_train_round, config, one), needs, *round_settings(config, one))
        if one.number < config.distill.noisy_student.rounds:
            add(logits_folder(one.store), partial(_score_round, config, one), [one.folder], SCORED_SPLITS)
    # Students of all teachers are the last that can start: let them not wait for the others.
    wanted = students(config.distill.recipes, config.teacher_names)
    for student in sorted(wanted, key=lambda student: -len(student.teachers)):
        needs = [logits_folder(name) for name in student.teachers] or [EXAMPLES]
        needs += [teacher_folder(name) for name in teachers_read(config, student)]
        needs += [SWEEP] if _follows_sweep(config, student) else []
        add(student.folder, partial(_train_student, config, student), needs, *student_settings(config, student))
    everything = [step.name for step in steps if step.name != EXAMPLES]
    averaged = config.distill.model_dump(include=AVERAGING)
    add(EVALUATION, partial(_evaluate, config), everything, config.distill.recipes, averaged, trains=False)
    return steps


def _follows_sweep(config: Config, student: Student) -> bool:
    """Whether the student has the sweep's best settings: the plain one only where models are swept."""
    return config.sweep.enabled and (bool(student.teachers) or config.sweep.student is not None)


def _rounds_follow_sweep(config: Config) -> bool:
    """Whether the rounds' students are the sweep's best: its other settings have no part in them."""
    return config.sweep.enabled and config.sweep.student is not None and config.distill.noisy_student.model is None


# The work of each step. Most runs in a lane, so TensorFlow is imported there and not by the driver.


def _ingest(config: Config, run: RunDirectory, report: Any) -> Facts:
    from raykd.data.ingest import ingest

    begun = time.perf_counter()
    manifest = ingest(run, config.data, config.seed, cluster_now().cpus)
    return {"rows": sum(shard.rows for shard in manifest.shards), "seconds": time.perf_counter() - begun}


def _train_teacher(config: Config, name: str, run: RunDirectory, report: Any) -> Facts:
    from raykd.distill.stages import train_teacher

    return train_teacher(config, name, run, report)


def _publish(name: str, run: RunDirectory, report: Any) -> Facts:
    from raykd.distill.publish import publish

    return publish(name, run)


def _score(config: Config, name: str, run: RunDirectory, report: Any) -> Facts:
    from raykd.data.shards import read_manifest
    from raykd.distill.logits import score
    from raykd.distill.stages import model_spec

    teacher = config.teacher(name)
    spec = model_spec(teacher.model, read_manifest(run))
    return score(name, teacher_folder(name), spec, teacher.training.jit_compile, run, report)


def _sweep(config: Config, run: RunDirectory, report: Any) -> Facts:
    from raykd.distill.sweep import sweep

    together, threads = trials_together(config, cluster_now(), trials_in_all(config))
    return sweep(config, run, report, together=together, threads=threads)


def _train_student(config: Config, student: Student, run: RunDirectory, report: Any) -> Facts:
    from raykd.distill.stages import train_student

    return train_student(chosen(config, run) if _follows_sweep(config, student) else config, student, run, report)


def _train_round(config: Config, one: Round, run: RunDirectory, report: Any) -> Facts:
    from raykd.distill.stages import train_round

    return train_round(chosen(config, run) if _rounds_follow_sweep(config) else config, one, run, report)


def _score_round(config: Config, one: Round, run: RunDirectory, report: Any) -> Facts:
    from raykd.data.shards import read_manifest
    from raykd.distill.logits import score
    from raykd.distill.stages import round_spec

    config = chosen(config, run) if _rounds_follow_sweep(config) else config
    compiled = config.distill.noisy_student.training.jit_compile
    return score(one.store, one.folder, round_spec(config, read_manifest(run)), compiled, run, report)


def _evaluate(config: Config, run: RunDirectory, report: Any) -> Facts:
    from raykd.evaluate.evaluation import evaluate

    return evaluate(chosen(config, run), run, report)


def _check_classes(config: Config, run: RunDirectory) -> None:
    from raykd.data.shards import read_manifest

    manifest = read_manifest(run)
    check_classes(config, manifest.classes)
    check_unlabelled(config, manifest)


def _evaluation(config: Config, run: RunDirectory, steps: list[Step], times: Times, begun: float) -> Facts:
    measured = run.read_json(f"{EVALUATION}/models.json")
    names = [step.name for step in steps]
    wanted = ("seconds", "stall_fraction", "examples_per_second", "per_epoch")
    facts = {name: run.facts(name) for name in names}
    wall = time.time() - begun
    return {
        "schema": _SCHEMA,
        "metric": "accuracy",
        "seed": config.seed,
        "device": measured["device"],
        "best_teacher": measured["best_teacher"],
        "learned_from": measured["learned_from"],
        "wall_seconds": wall,
        "stages": [{"name": name, **{key: facts[name].get(key) for key in wanted}} for name in names],
        "models": measured["models"],
        "training_share": covered_seconds([(start, end) for step, start, end in times if step.trains]) / wall,
    }


def _report(config: Config, run: RunDirectory, evaluation: Facts) -> None:
    from raykd.report.html import write_report

    write_report(config, run, evaluation)
