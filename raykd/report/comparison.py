"""Several runs on one page: what each reached, model by model, and which settings they differ in."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raykd.errors import InputError
from raykd.report.comparison_plot import comparison_plot
from raykd.report.findings import highlighted
from raykd.report.finished import Finished
from raykd.report.page import render
from raykd.report.provenance import date, differences
from raykd.report.sheet import Sheet
from raykd.report.tables import RESULTS, Column, fixed, percentage, table_sheet
from raykd.report.wording import NBSP, duration, interval, percent

Runs = Mapping[str, Finished]
"""By label."""

_SHOWN = ("accuracy", "gain", "gain_p_holm", "auc", "map", "mrr", "ece", "retention", "examples_per_second",
          "speedup_ensemble", "parameters")  # fmt: skip


def write_comparison(runs: Sequence[Finished], page: Path) -> None:
    """Write the page, and its tables as CSV in the folder named as the page without its ending."""
    labelled, folder = labels(runs), page.stem
    rows = [_row(label, run) for label, run in labelled.items()]
    models = by_model(labelled)
    told = differences({label: run.config for label, run in labelled.items()})
    settings = [(key, *values) for key, values in told]
    sheets = {
        "runs_sheet": table_sheet("runs", rows, folder),
        "models_sheet": table_sheet("models", models, folder),
        "differences_sheet": Sheet("settings", ("setting", *labelled), settings, folder),
    }
    text = render(
        "comparison.html",
        title=" · ".join(labelled),
        runs=labelled,
        dates={label: date(run.directory) for label, run in labelled.items()},
        summary=summary(labelled),
        rows=rows,
        columns=_columns(rows),
        models=models,
        model_columns=_model_columns(labelled),
        plot=comparison_plot({label: run.evaluation["models"] for label, run in labelled.items()}),
        differences=told,
        **sheets,
    )
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        for sheet in sheets.values():
            file = page.parent / sheet.file
            file.parent.mkdir(exist_ok=True)
            file.write_text(sheet.csv(), encoding="utf-8")
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--output {page}: can't be written ({error.strerror}); name another file") from error


def labels(runs: Sequence[Finished]) -> dict[str, Finished]:
    """The runs by name; those of the same name are numbered."""
    names = [run.config.name for run in runs]
    return {
        name if names.count(name) == 1 else f"{name} ({names[: index + 1].count(name)})": run
        for index, (name, run) in enumerate(zip(names, runs, strict=True))
    }


def _row(label: str, run: Finished) -> dict[str, Any]:
    evaluation = run.evaluation
    student = highlighted(evaluation["models"]) or {}
    together: dict[str, Any] = next(
        (model for model in evaluation["models"] if model["kind"] == "teacher_ensemble"), {}
    )
    return {
        "run": label,
        "student": student.get("name"),
        **{key: student.get(key) for key in _SHOWN},
        "accuracy_ci95": student.get("accuracy_ci95"),
        "gain_ci95": student.get("gain_ci95"),
        "teacher_ensemble": together.get("accuracy"),
        "teacher_ensemble_ci95": together.get("accuracy_ci95"),
        "wall_seconds": evaluation["wall_seconds"],
        "training_share": evaluation["training_share"],
        "seed": evaluation["seed"],
    }


def _columns(rows: Sequence[dict[str, Any]]) -> list[Column]:
    shown = {column.key: column for column in RESULTS}
    found = [
        *(shown[key] for key in _SHOWN),
        Column("teacher\nensemble", "teacher_ensemble", percentage(2), "its accuracy", interval),
        Column("wall time", "wall_seconds", duration, "of the last command of the run"),
        Column("training\nshare", "training_share", percentage(0), "of the wall time, with a lane training or scoring"),
        Column("seed", "seed", fixed(0)),
    ]  # fmt: skip
    return [column for column in found if any(row.get(column.key) is not None for row in rows)]


def by_model(runs: Runs) -> list[dict[str, Any]]:
    """A row per model: its accuracy in every run, mean and sample standard deviation of those that have it."""
    rows: dict[str, dict[str, Any]] = {}
    for label, run in runs.items():
        for model in run.evaluation["models"]:
            row = rows.setdefault(model["name"], {"name": model["name"], "kind": model["kind"]})
            row[label], row[f"{label}_ci95"] = model["accuracy"], model["accuracy_ci95"]
    for row in rows.values():
        known = [row[label] for label in runs if label in row]
        row["mean"] = statistics.fmean(known)
        row["deviation"] = statistics.stdev(known) if len(known) > 1 else None
    return list(rows.values())


def _model_columns(runs: Runs) -> list[Column]:
    """A column per run; mean and deviation where all have the same data."""
    columns = [Column(label, label, percentage(2), "", interval) for label in runs]
    if len({run.config.data.source for run in runs.values()}) == 1:
        columns += [
            Column("mean", "mean", percentage(2), "of the runs that have the model"),
            Column(
                "deviation,\npoints",
                "deviation",
                lambda share: f"{100 * share:.2f}",
                "sample standard deviation over these runs",
            ),
        ]
    return columns


def summary(runs: Runs) -> str:
    """Each run's final student, the best first."""
    students = [(label, highlighted(run.evaluation["models"])) for label, run in runs.items()]
    found = sorted(((label, one) for label, one in students if one is not None), key=lambda pair: -pair[1]["accuracy"])
    if not found:
        return "None of these runs trained a student."
    told = [
        f"{label} {percent(one['accuracy'])} ({one['name']}, 95{NBSP}% interval {interval(one['accuracy_ci95'])})"
        for label, one in found
    ]
    return f"Accuracy of each run’s student on its test split, highest first: {'; '.join(told)}."
