"""Every step of the job: what it needs, which settings it depends on, and its work.

Readers: the pipeline, which does what is missing, and the dry run, which tells.
"""

import time
from functools import partial
from typing import Any

from raykd.artifacts import (
    EVALUATION,
    EXAMPLES,
    SWEEP,
    RunDirectory,
    fingerprint,
    logits_folder,
    predictions_folder,
    teacher_folder,
)
from raykd.cluster import cluster_now, trials_together
from raykd.config import Config
from raykd.distill.checks import check_sweep
from raykd.distill.inheritance import AVERAGING, student_settings, teachers_read
from raykd.distill.recipes import Student, students
from raykd.distill.rounds import Round, round_model, round_settings, rounds
from raykd.distill.trials import chosen, trials_in_all
from raykd.export.choice import check_installed, chosen_name, export_folder, export_settings
from raykd.schedule import Step, needed
from raykd.stored import EVALUATED, keep_config

_FORMAT = 1  # Raise it when a step's output changes for the same settings.
_EVALUATED = 2  # The same for the evaluation alone.
_TASKS_WHERE_UNKNOWN = 64  # that read side by side, on a cluster that doesn't tell what it can grow to
_HOW_IT_IS_READ = {"cache", "read_tasks", "prefetch"}  # of the settings of the data: the batches stay the same

Facts = dict[str, Any]


def plan(config: Config) -> list[Step]:
    """Every step of the job, ingestion first, in the order of priority."""
    from raykd.data.presets import contents
    from raykd.data.shards import SCORED_SPLITS
    from raykd.data.sources import source_fingerprint

    examples = fingerprint(_FORMAT, source_fingerprint(config.data), *_data_settings(config), config.seed)
    made, depends = {EXAMPLES: examples}, {EXAMPLES: dict[str, str]()}
    steps = [Step(EXAMPLES, examples, partial(_ingest, config), trains=False, alone=True)]

    def add(name: str, work: Any, needs: list[str], *settings: Any, **traits: bool) -> None:
        made[name] = fingerprint(name, *settings, *(made[need] for need in needs))
        depends[name] = {one: own for need in needs for one, own in {**depends[need], need: made[need]}.items()}
        steps.append(Step(name, made[name], work, tuple(needs), depends[name], **traits))

    def add_training(name: str, work: Any, needs: list[str], *settings: Any) -> None:
        add(name, work, needs, *settings, launched=True)

    for name in config.external:
        add(logits_folder(name), partial(_publish, name), [EXAMPLES], trains=False)
    for teacher in config.teachers:
        settings, made_of = teacher.model_dump(), contents([teacher.model])
        if teacher.model.type == "saved":
            work = partial(_take_saved, config, teacher.name)
            add(teacher_folder(teacher.name), work, [EXAMPLES], settings, *made_of, trains=False)
        else:
            work = partial(_train_teacher, config, teacher.name)
            add_training(teacher_folder(teacher.name), work, [EXAMPLES], settings, *made_of)
    for teacher in config.teachers:
        name = teacher.name
        add(logits_folder(name), partial(_score, config, name), [teacher_folder(name)], SCORED_SPLITS, shared=True)
    if config.sweep.enabled:
        check_sweep(config)
        swept = config.sweep.model_dump(mode="json", exclude={"enabled"})
        own = (
            config.student.model_dump(exclude={"training"}),
            config.distill.model_dump(exclude={"recipes", "noisy_student", "external"}),
        )
        logits = [logits_folder(name) for name in config.teacher_names]
        made_of = contents([config.student.model, *(config.sweep.student or ())])
        add(SWEEP, partial(_sweep, config), logits, swept, *own, *made_of, alone=True)
    # Rounds wait for one another: let them not wait for others too.
    for one in rounds(config):
        needs = [logits_folder(name) for name in one.teachers]
        needs += [SWEEP] if _rounds_follow_sweep(config) else []
        made_of = contents([round_model(config)])
        add_training(one.folder, partial(_train_round, config, one), needs, *round_settings(config, one), *made_of)
        if one.number < config.distill.noisy_student.rounds:
            score = partial(_score_round, config, one)
            add(logits_folder(one.store), score, [one.folder], SCORED_SPLITS, shared=True)
    # Students of all teachers are the last that can start: let them not wait for the others.
    wanted = students(config.distill.recipes, config.teacher_names)
    for student in sorted(wanted, key=lambda student: -len(student.teachers)):
        needs = [logits_folder(name) for name in student.teachers] or [EXAMPLES]
        needs += [teacher_folder(name) for name in teachers_read(config, student)]
        needs += [SWEEP] if _follows_sweep(config, student) else []
        work, made_of = partial(_train_student, config, student), contents([config.student.model])
        add_training(student.folder, work, needs, *student_settings(config, student), *made_of)
    # What has to be trained goes first: there is always a lane for these.
    trained = [step.name for step in steps if step.name.partition("/")[0] in ("teachers", "students")]
    for folder in trained:
        add(predictions_folder(folder), partial(_predict, config, folder), [folder], shared=True, trains=False)
    everything = [step.name for step in steps if step.name != EXAMPLES]
    averaged = config.distill.model_dump(include=AVERAGING)
    add(EVALUATION, partial(_evaluate, config), everything, _EVALUATED, config.distill.recipes, averaged, trains=False)
    if config.export.formats:
        steps.append(export_step(config, made[EVALUATION]))
    return steps


def export_step(config: Config, evaluation: str) -> Step:
    """The step that exports the model that the configuration names.

    Args: evaluation: its fingerprint.
    Raises: InputError for an unknown model, or a format whose packages aren't installed.
    """
    check_installed(config.export.formats)
    folder = export_folder(chosen_name(config))
    own = fingerprint(folder, export_settings(config), evaluation)
    return Step(folder, own, partial(_export, config), (EVALUATION,), {EVALUATION: evaluation}, trains=False)


def _data_settings(config: Config) -> list[Any]:
    """The settings that the examples depend on, but for source and seed."""
    from raykd.data.presets import tokenizer_fingerprint, tokenizer_preset

    data = config.data.model_dump(exclude=_HOW_IT_IS_READ | {"tokenizer", "truncation"})
    # Nothing is added for what was so before there was a choice: examples made then stay valid.
    if config.data.columns.group is None:
        del data["columns"]["group"]
    cut = [] if config.data.truncation == "longest_first" else [config.data.truncation]
    preset = tokenizer_preset(config)
    return [data, *cut, *([] if preset is None else [tokenizer_fingerprint(preset)])]


def plan_of(config: Config, part: str) -> list[Step]:
    """The steps of a part of the job: what the part ends with, and what that needs.

    Args: part: `teachers`, `logits`, `sweep`, `students`, `evaluation` (the whole job).
    """
    return needed(plan(config), *_ends(config, part))


def _ends(config: Config, part: str) -> list[str]:
    if part == "teachers":
        return [teacher_folder(teacher.name) for teacher in config.teachers] or [EXAMPLES]
    if part == "logits":
        return [logits_folder(name) for name in config.teacher_names]
    if part == "students":
        wanted = students(config.distill.recipes, config.teacher_names)
        return [*(student.folder for student in wanted), *(one.folder for one in rounds(config))]
    return [part]


def _follows_sweep(config: Config, student: Student) -> bool:
    """Whether the student has the sweep's best settings: the plain one only where models are swept."""
    return config.sweep.enabled and (bool(student.teachers) or config.sweep.student is not None)


def _rounds_follow_sweep(config: Config) -> bool:
    """Whether the rounds' students are the sweep's best: its other settings have no part in them."""
    return config.sweep.enabled and config.sweep.student is not None and config.distill.noisy_student.model is None


def _is_sweeps_choice(config: Config, folder: str) -> bool:
    """Whether the sweep chooses the model that is trained in a folder."""
    if folder in {one.folder for one in rounds(config)}:
        return _rounds_follow_sweep(config)
    return not folder.startswith("teachers/") and config.sweep.enabled and config.sweep.student is not None


# The work of each step. Most runs in a lane, so TensorFlow is imported there and not by the driver.


def _ingest(config: Config, run: RunDirectory, report: Any) -> Facts:
    from raykd.data.ingest import ingest
    from raykd.data.presets import tokenizer_preset
    from raykd.distill.pool import check_pool

    begun = time.perf_counter()
    data = config.data.model_copy(update={"tokenizer": tokenizer_preset(config)})
    cluster = cluster_now()
    tasks = max(1, cluster.cpus) if cluster.known else _TASKS_WHERE_UNKNOWN
    manifest = ingest(run, data, config.seed, tasks)
    check_pool(config, manifest)  # Before any teacher is trained.
    facts = {"rows": sum(shard.rows for shard in manifest.shards), "seconds": time.perf_counter() - begun}
    return {**facts, "truncated": dict(manifest.truncated), "max_length": manifest.inputs.length}


def _train_teacher(config: Config, name: str, run: RunDirectory, report: Any) -> Facts:
    from raykd.distill.stages import train_teacher

    return train_teacher(config, name, run, report)


def _take_saved(config: Config, name: str, run: RunDirectory, report: Any) -> Facts:
    from raykd.distill.stages import take_saved_teacher

    return take_saved_teacher(config, name, run)


def _publish(name: str, run: RunDirectory, report: Any) -> Facts:
    from raykd.distill.publish import publish

    return publish(name, run)


def _score(config: Config, name: str, run: RunDirectory, report: Any, part: tuple[int, int] = (0, 1)) -> Facts:
    from raykd.data.shards import read_manifest
    from raykd.distill.logits import score
    from raykd.distill.stages import model_spec

    teacher = config.teacher(name)
    spec = model_spec(teacher.model, read_manifest(run))
    return score(name, teacher_folder(name), spec, run, report, part)


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


def _score_round(config: Config, one: Round, run: RunDirectory, report: Any, part: tuple[int, int] = (0, 1)) -> Facts:
    from raykd.data.shards import read_manifest
    from raykd.distill.logits import score
    from raykd.distill.stages import round_spec

    config = chosen(config, run) if _rounds_follow_sweep(config) else config
    return score(one.store, one.folder, round_spec(config, read_manifest(run)), run, report, part)


def _predict(config: Config, folder: str, run: RunDirectory, report: Any, part: tuple[int, int] = (0, 1)) -> Facts:
    from raykd.data.shards import read_manifest
    from raykd.evaluate.evaluation import spec_of
    from raykd.evaluate.predictions import predict

    config = chosen(config, run) if _is_sweeps_choice(config, folder) else config
    return predict(folder, spec_of(config, folder, read_manifest(run)), run, report, part)


def _evaluate(config: Config, run: RunDirectory, report: Any) -> Facts:
    from raykd.evaluate.evaluation import evaluate

    keep_config(run, config, EVALUATED)
    return evaluate(chosen(config, run), run, report)


def _export(config: Config, run: RunDirectory, report: Any) -> Facts:
    from raykd.export.bundle import export

    return export(config, run, report)
