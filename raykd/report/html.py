"""The report page: one HTML file that needs no network, for whoever reads the run's outcome."""

from collections.abc import Sequence
from typing import Any

import yaml

from raykd.artifacts import FIGURES, RunDirectory
from raykd.config import Config
from raykd.distill.trials import read_records
from raykd.report.agreement import agreement_plot, agreement_sheet
from raykd.report.calibration import reliability_plot, reliability_sheet
from raykd.report.confusion import confusion_plot, confusion_sheet, confusion_title
from raykd.report.curves import ACCURACY, LOSS, Curve, curves_sheet, student_curves, teacher_curves
from raykd.report.dataset import Dataset, dataset_sheet, read_dataset
from raykd.report.findings import highlighted, summary, tiles
from raykd.report.page import render
from raykd.report.plots import Plot, curves_plot, frontier_plot, frontier_sheet
from raykd.report.provenance import commands, date, seeds, versions
from raykd.report.sheet import FOLDER, Sheet
from raykd.report.sweep import trials_plot, trials_sheet
from raykd.report.tables import STAGES, results_columns, table_sheet
from raykd.report.timing import timing_plot, timing_sheet
from raykd.report.wording import duration, percent

PAGE = "report.html"

Values = dict[str, Any]
"""What a part of the page is made of: plots, sheets and texts by their names in the template."""


def write_report(config: Config, run: RunDirectory, evaluation: dict[str, Any]) -> None:
    """Publish `report.html`, and every figure of it as CSV in the folder `report`.

    Args: evaluation: as `evaluation.json` has it; the rest comes from the run directory.
    """
    dataset = read_dataset(run)
    values = {
        **_results(config, run, evaluation),
        **_errors(run, evaluation, dataset),
        **_training(config, run),
        **_time(evaluation),
        **_data(config, dataset),
        **_origin(config, run, evaluation),
    }
    page = render("template.html", **values)
    run.delete_folder(FOLDER)
    for sheet in sheets(values):
        run.write_bytes(sheet.file, sheet.csv().encode())
    run.write_bytes(PAGE, page.encode())


def sheets(values: Values) -> list[Sheet]:
    """The sheets among the values of a page."""
    listed = [one for value in values.values() for one in (value if isinstance(value, list) else [value])]
    return [one for one in listed if isinstance(one, Sheet)]


def _results(config: Config, run: RunDirectory, evaluation: dict[str, Any]) -> Values:
    models = evaluation["models"]
    return {
        "name": config.name,
        "date": date(run),
        "evaluation": evaluation,
        "summary": summary(evaluation),
        "tiles": tiles(evaluation),
        "measured": _measured(evaluation),
        "results": results_columns(models),
        "results_sheet": table_sheet("results", models),
        "frontier": frontier_plot(models),
        "frontier_sheet": frontier_sheet(models),
    }


def _measured(evaluation: dict[str, Any]) -> str:
    """How the figures were measured, as far as the evaluation says."""
    said = []
    if evaluation.get("resamples") is not None:
        unit = "rows" if evaluation["groups"] is None else "whole groups of rows"
        said.append(
            f"Small figures are 95 % intervals of a bootstrap over {unit}, {evaluation['resamples']:,} resamples;"
        )
        said.append("over plain, models are compared on the same rows.")
        said.append(f"The ECE has {evaluation['ece_bins']} bins.")
    timed = "All models were timed on the same batch in the same process, those built alike once"
    if evaluation.get("timing_batch") is not None:
        threads = {0: "all threads", 1: "one thread"}.get(evaluation["threads"], f"{evaluation['threads']} threads")
        timed += f", {evaluation['timing_batch']} rows on {threads}, after warming up"
    if evaluation.get("batches_tried"):
        timed += f"; for the best batch {' and '.join(map(str, evaluation['batches_tried']))} were tried"
    return " ".join([*said, f"{timed}; latency is that of one example."])


def _errors(run: RunDirectory, evaluation: dict[str, Any], dataset: Dataset | None) -> Values:
    """Where the final student is wrong, unsure, or of another opinion than its teachers."""
    student = highlighted(evaluation["models"])
    names = ("reliability", "reliability_sheet", "confusion", "confusion_sheet", "agreement", "agreement_sheet")
    if student is None or not run.exists(FIGURES):  # An evaluation of an earlier version has none.
        return dict.fromkeys(names)
    figures = run.read_json(FIGURES)
    shown = [name for name in (student["name"], "teacher_ensemble") if name in figures["confusion"]]
    cells = {name: figures["confusion"][name] for name in shown}
    by_class = figures["rows_by_class"]
    classes = dataset.class_names if dataset else [str(number) for number in range(len(by_class))]
    agreement = agreement_plot(figures["agreement"])
    return {
        "reliability": reliability_plot(figures["reliability"], student, evaluation["ece_bins"]),
        "reliability_sheet": reliability_sheet(figures["reliability"]),
        "confusion": [(confusion_title(name), confusion_plot(name, cells[name], by_class, classes)) for name in shown],
        "confusion_sheet": confusion_sheet(cells, by_class),
        "agreement": agreement,
        "agreement_sheet": agreement_sheet(figures["agreement"]) if agreement else None,
    }


def _training(config: Config, run: RunDirectory) -> Values:
    groups = {"Teachers": teacher_curves(config, run), "Students": student_curves(config, run)}
    records = read_records(run) if config.sweep.enabled else []
    return {
        "external": config.external,
        "curves": [plot for title, curves in groups.items() for plot in _curves(title, curves)],
        "curve_sheets": [curves_sheet(f"curves-{title.lower()}", found) for title, found in groups.items() if found],
        "sweep": trials_plot(records),
        "sweep_sheet": trials_sheet(records) if records else None,
    }


def _curves(title: str, curves: Sequence[Curve]) -> list[tuple[str, Plot]]:
    measures = (ACCURACY, LOSS) if curves else ()
    return [(f"{title}: {measure.title}", curves_plot(title, curves, measure)) for measure in measures]


def _time(evaluation: dict[str, Any]) -> Values:
    stages = evaluation["stages"]
    return {
        "stages": STAGES,
        "longest": max((stage["seconds"] or 0.0 for stage in stages), default=0.0) or 1.0,
        "wall": duration(evaluation["wall_seconds"]),
        "training_share": percent(evaluation["training_share"], 0),
        "timing": timing_plot(stages),
        "timing_sheet": timing_sheet(stages),
    }


def _data(config: Config, dataset: Dataset | None) -> Values:
    sheet = dataset_sheet(dataset) if dataset else None
    return {"source": config.data.source, "dataset": dataset, "dataset_sheet": sheet}


def _origin(config: Config, run: RunDirectory, evaluation: dict[str, Any]) -> Values:
    return {
        "configuration": yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False),
        "versions": evaluation.get("versions") or versions(),
        "seeds": seeds(config),
        "root": run.root,
        "commands": commands(config, run),
    }
