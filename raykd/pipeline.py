"""The whole job, top to bottom: ingest, teachers, logits, sweep, students by recipe, evaluation, report."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from raykd import tables
from raykd.artifacts import EVALUATION, EXAMPLES, MARKER, PROFILE, SWEEP, RunDirectory
from raykd.capacity import check_storage
from raykd.cluster import Waits, await_room, connect, lanes_for
from raykd.config import Config
from raykd.console import Console
from raykd.distill.checks import check_classes, check_mixup, check_unlabelled, check_workers
from raykd.distill.trials import BEST, read_records
from raykd.errors import InputError
from raykd.lease import Lease
from raykd.metrics import Metrics
from raykd.plan import export_step, plan, plan_of
from raykd.quiet import silenced
from raykd.schedule import Step, covered_seconds, phases, unfinished
from raykd.stored import keep_config

_SCHEMA = 1  # of evaluation.json

LAST = {"teachers": "teachers", "score": "logits", "distill": "students", "evaluate": EVALUATION}
"""The steps that each part of the job, a function here, leads up to."""

Facts = dict[str, Any]
Times = list[tuple[Step, float, float]]


def run(config: Config, *, address: str | None = None, verbose: bool = False) -> Facts:
    """Run what is not done yet of the whole job.

    Args: address: of a running Ray cluster; None starts Ray on this machine. verbose: let Ray's and
    TensorFlow's own messages through.
    Returns: the evaluation, as `evaluation.json` in the run directory has it.
    Raises: InputError for bad input.
    """
    return _run(config, address, verbose, reports=True)


def teachers(config: Config, *, address: str | None = None, verbose: bool = False) -> dict[str, Facts]:
    """Train the teachers, and do what they need, as far as it is not done yet. Args, Raises: as `run`.

    Returns: what is known of each of these steps: rows, seconds, the validation accuracy.
    """
    return _up_to(LAST["teachers"], config, address, verbose)


def score(config: Config, *, address: str | None = None, verbose: bool = False) -> dict[str, Facts]:
    """Write every teacher's logits; args and returns as `teachers`."""
    return _up_to(LAST["score"], config, address, verbose)


def distill(config: Config, *, address: str | None = None, verbose: bool = False) -> dict[str, Facts]:
    """Train every recipe's students; args and returns as `teachers`."""
    return _up_to(LAST["distill"], config, address, verbose)


def evaluate(config: Config, *, address: str | None = None, verbose: bool = False) -> Facts:
    """As `run`, without the report."""
    return _run(config, address, verbose, reports=False)


def sweep(config: Config, *, address: str | None = None, verbose: bool = False) -> Facts:
    """Run the sweep and what it needs, as far as it is not done yet, whether the configuration enables it or not.

    Args: as `run`.
    Returns: the best trial and the sweep's figures, as `sweep/best.json` in the run directory has them.
    Raises: InputError for bad input.
    """
    config = sweeping(config)
    with _directory(config) as (directory, lease):
        steps = plan_of(config, SWEEP)
        missing = unfinished(steps, directory)
        with Console(config, directory.root, len(steps), len(missing)) as console:
            if missing:
                _perform(config, directory, missing, lease, console, address, verbose)
            best: Facts = directory.read_json(BEST)
            console.below(*tables.trials(read_records(directory), best))
    return best


def sweeping(config: Config) -> Config:
    """The configuration with its sweep enabled."""
    return config.model_copy(update={"sweep": config.sweep.model_copy(update={"enabled": True})})


def export(config: Config, directory: RunDirectory, *, verbose: bool = False) -> Facts:
    """Export the configuration's model from a finished run, unless that is done already.

    Args: directory: of the run; verbose: as `run`.
    Returns: the export's facts, `exports` among them: each format's figures.
    Raises: InputError where the run has no evaluation, or as `raykd.export.bundle.export`.
    """
    if not directory.exists(f"{EVALUATION}/{MARKER}"):
        raise InputError(f"{directory.root}: found no evaluation, expected a finished run; finish it with raykd run")
    step = export_step(config, directory.facts(EVALUATION)["fingerprint"])
    if unfinished([step], directory):
        with Lease(directory), nullcontext() if verbose else silenced():
            directory.begin(step.name, step.fingerprint)
            directory.finish(step.name, step.fingerprint, step.made_of, **step.work(directory, _ignore))
    return directory.facts(step.name)


def _ignore(event: Facts) -> None:
    """Progress that nothing shows."""


def _run(config: Config, address: str | None, verbose: bool, *, reports: bool) -> Facts:
    begun = time.time()
    with _directory(config) as (directory, lease):
        steps = plan(config)
        missing = unfinished(steps, directory)
        with Console(config, directory.root, len(steps), len(missing)) as console:
            times = _perform(config, directory, missing, lease, console, address, verbose) if missing else []
            if times or not _is_evaluated(directory):
                directory.write_json("evaluation.json", _evaluation(config, directory, steps, times, begun))
            evaluation: Facts = directory.read_json("evaluation.json")
            if reports:
                _report(config, directory, evaluation)
            console.below(*tables.results(evaluation, directory.path("report.html") if reports else None))
            if config.scaling.profile:
                console.below(_profile(directory))
    return evaluation


def _up_to(part: str, config: Config, address: str | None, verbose: bool) -> dict[str, Facts]:
    """Do what is missing of a part of the job, as `plan_of` has it."""
    with _directory(config) as (directory, lease):
        steps = plan_of(config, part)
        missing = unfinished(steps, directory)
        with Console(config, directory.root, len(steps), len(missing)) as console:
            if missing:
                _perform(config, directory, missing, lease, console, address, verbose)
        return {step.name: directory.facts(step.name) for step in steps}


@contextmanager
def _directory(config: Config) -> Iterator[tuple[RunDirectory, Lease]]:
    """The run directory, for this process alone, with the configuration in it."""
    directory = RunDirectory.at(config.storage_path, config.name)
    directory.prepare()
    with Lease(directory) as lease:
        keep_config(directory, config)
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
        cluster = await_room(config.scaling, cluster)
        shared = config.scaling.shared_storage
        check_storage(config.storage_path, local=directory.is_local, shared=shared, capacity=cluster)
        lease.claim_name()
        metrics = Metrics(config.name, console.steps, console.finished)

        def show(event: Facts) -> None:
            console.show(event)
            metrics.show(event)

        groups = phases(missing)
        early = None
        for phase, later in zip(groups, [*groups[1:], []], strict=True):
            if phase[0].name != EXAMPLES:
                _check_examples(config, directory)
            elif cluster.alone and later and not later[0].alone:
                early = lanes_for(config, cluster, directory, verbose)  # They load TensorFlow meanwhile.
            if phase[0].alone:
                times.append(_do_alone(phase[0], directory, lease, show))
                continue
            lanes, early = early or lanes_for(config, cluster, directory, verbose), None
            try:
                times += lanes.perform(phase, show, lease.check, Waits(config.scaling, lanes.share, show))
            finally:
                lanes.release()  # In a Ray that lives on they would train on, and write beside whoever comes next.
    return times


def _do_alone(step: Step, run: RunDirectory, lease: Lease, show: Callable[[Facts], None]) -> tuple[Step, float, float]:
    """Do a step in this process. Returns: as `_perform`."""
    begun = time.time()

    def report(event: Facts) -> None:
        lease.check()
        show({"step": step.name, "kind": "progress", **event})

    report({"kind": "started"})
    run.begin(step.name, step.fingerprint)
    facts = step.work(run, report)
    run.finish(step.name, step.fingerprint, step.made_of, **facts)
    report({"kind": "finished", **facts})
    return step, begun, time.time()


def _check_examples(config: Config, run: RunDirectory) -> None:
    from raykd.data.shards import read_manifest

    manifest = read_manifest(run)
    check_classes(config, manifest.classes)
    check_unlabelled(config, manifest)
    check_mixup(config, manifest)
    check_workers(config, manifest)


def _is_evaluated(run: RunDirectory) -> bool:
    """Whether `evaluation.json` is of the evaluation that the run directory holds."""
    if not run.exists("evaluation.json"):
        return False
    made: str = run.facts(EVALUATION)["fingerprint"]
    return bool(run.read_json("evaluation.json").get("fingerprint", made) == made)  # Earlier versions wrote none.


def _evaluation(config: Config, run: RunDirectory, steps: list[Step], times: Times, begun: float) -> Facts:
    from raykd.report.provenance import versions

    measured: Facts = run.read_json(f"{EVALUATION}/models.json")
    models = measured.pop("models")
    names = [step.name for step in steps]
    wanted = ("seconds", "training_seconds", "stall_fraction", "examples_per_second", "per_epoch")
    facts = {name: run.facts(name) for name in names}
    wall = time.time() - begun
    return {
        "schema": _SCHEMA,
        "fingerprint": facts[EVALUATION]["fingerprint"],
        "metric": "accuracy",
        "seed": config.seed,
        **measured,
        "versions": versions(),
        "wall_seconds": wall,
        "stages": [{"name": name, **{key: facts[name].get(key) for key in wanted}} for name in names],
        "models": models,
        "training_share": covered_seconds([(start, end) for step, start, end in times if step.trains]) / wall,
    }


def _profile(run: RunDirectory) -> Any:
    from raykd.report.profile import write_profile

    if not run.names(PROFILE, ".json"):
        return "profile: nothing was trained here since it was asked for; delete what is to be trained anew"
    return write_profile(run)


def _report(config: Config, run: RunDirectory, evaluation: Facts) -> None:
    from raykd.report.html import write_report

    write_report(config, run, evaluation)
