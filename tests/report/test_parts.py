"""Parts of the page that stand on figures of single rows: what they say, and the numbers behind them."""

import csv
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pages import TEACHER, TMKD, TOGETHER, config, evaluation

from raykd.artifacts import EXAMPLES, FIGURES, RunDirectory
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.evaluate.figures import figures
from raykd.report.agreement import agreement_finding, agreement_plot, agreement_sheet
from raykd.report.calibration import reliability_finding, reliability_plot, reliability_sheet
from raykd.report.confusion import confusion_finding, confusion_plot, confusion_sheet
from raykd.report.dataset import dataset_sheet, read_dataset
from raykd.report.html import write_report
from raykd.report.sheet import Sheet
from raykd.report.tables import results_columns, table_sheet
from raykd.report.timing import parts, timing_finding, timing_plot

NBSP = "\N{NO-BREAK SPACE}"


def _rows(sheet: Sheet) -> list[list[str]]:
    return list(csv.reader(io.StringIO(sheet.csv())))


def test_sheet_keeps_full_precision_and_leaves_unknown_values_empty() -> None:
    sheet = Sheet("x", ("a", "b, c"), [(1 / 3, None), ('say "x"', True)])
    assert _rows(sheet) == [["a", "b, c"], [str(1 / 3), ""], ['say "x"', "True"]]
    assert (sheet.file, sheet.link[:14]) == ("report/x.csv", "data:text/csv;")


# Agreement.

AGREEMENT = {
    "teacher/a": {"teacher/a": 1.0, "teacher/b": 0.8, "teacher_ensemble": 0.9},
    "teacher/b": {"teacher/a": 0.8, "teacher/b": 1.0, "teacher_ensemble": 0.85},
    "teacher_ensemble": {"teacher/a": 0.9, "teacher/b": 0.85, "teacher_ensemble": 1.0},
    "student/plain": {"teacher/a": 0.7, "teacher/b": 0.65, "teacher_ensemble": 0.72},
}


def test_agreement_names_the_closest_and_the_farthest_pair() -> None:
    assert agreement_finding(AGREEMENT).replace(NBSP, " ") == (
        "Closest: student/plain predicts as teacher_ensemble does on 72.0 % of the test rows. Farthest: student/plain "
        "and teacher/b, 65.0 %. Teachers agree with each other on 80.0 % or more."
    )
    plot = agreement_plot(AGREEMENT)
    assert plot is not None
    assert plot.finding in plot.svg
    assert ["student/plain", "teacher/b", "0.65"] in _rows(agreement_sheet(AGREEMENT))


def test_without_a_teacher_on_the_test_split_there_is_no_agreement() -> None:
    assert agreement_plot({"student/plain": {}}) is None


# Calibration.


def _student(temperature: float | None) -> dict[str, Any]:
    after = {"nll_tempered": 0.45, "ece_tempered": 0.01, "validation_nll": 0.51, "validation_nll_tempered": 0.46,
             "validation_ece": 0.04, "validation_ece_tempered": 0.02}  # fmt: skip
    return {**TMKD, "temperature": temperature, **(after if temperature else {})}


BINS = [{"rows": 30, "confidence": 0.6, "accuracy": 0.5}, {"rows": 70, "confidence": 0.9, "accuracy": 0.95}]


def test_calibration_gives_both_errors_before_and_after() -> None:
    said = reliability_finding(_student(1.25)).replace(NBSP, " ")
    assert "A temperature of 1.250, fitted on the validation split, makes student/many_on_one less sure" in said
    assert "on the test split goes from 3.00 % to 1.00 %, its NLL from 0.5000 to 0.4500 nats" in said
    assert "on the validation split from 4.00 % to 2.00 % and from 0.5100 to 0.4600" in said
    assert "makes student/many_on_one surer" in reliability_finding(_student(0.5))
    assert "no temperature was fitted" in reliability_finding(_student(None))


@pytest.mark.parametrize("scaled", [True, False])
def test_reliability_plot_has_a_curve_for_each_state(scaled: bool) -> None:
    curves = {TMKD["name"]: {"before": BINS, "after": BINS if scaled else None}}
    plot = reliability_plot(curves, _student(1.25 if scaled else None), 15)
    assert ("after scaling" in plot.svg.replace(NBSP, " ").split(">", 1)[1]) is scaled
    assert "teacher ensemble" not in plot.svg
    assert len(_rows(reliability_sheet(curves))) == 1 + 2 * len(BINS) * (2 if scaled else 1) // 2


# Confusions.


def test_confusions_of_few_classes_are_a_matrix() -> None:
    cells = [[0, 0, 8], [0, 1, 2], [1, 0, 1], [1, 1, 4]]
    assert confusion_finding(cells, [10, 5], ["no", "yes"]).replace(NBSP, " ") == (
        "Most frequent confusions: no taken for yes (2 rows, 20.0 % of class no), "
        "yes taken for no (1 row, 20.0 % of class yes)."
    )
    plot = confusion_plot("student/plain", cells, [10, 5], ["no", "yes"])
    assert f"80.0{NBSP}%" in plot.svg
    assert ["student/plain", "0", "1", "2", "0.2"] in _rows(confusion_sheet({"student/plain": cells}, [10, 5]))
    assert confusion_finding([[0, 0, 10]], [10, 0], ["no", "yes"]) == "No test row is predicted wrongly."


def test_confusions_of_many_classes_are_bars_of_the_most_frequent() -> None:
    cells = [[i, (i + 1) % 40, 40 - i] for i in range(40)]
    plot = confusion_plot("student/plain", cells, [100] * 40, [str(number) for number in range(40)])
    assert "0 taken for 1" in plot.svg
    assert "14 taken for 15" in plot.svg
    assert "15 taken for 16" not in plot.svg


# Time.


def test_a_steps_seconds_are_training_waiting_and_the_rest() -> None:
    stage = {"name": "teachers/a", "seconds": 20.0, "training_seconds": 16.0, "stall_fraction": 0.125}
    assert parts(stage) == (14.0, 2.0, 4.0)
    examples = {"name": "examples", "seconds": 5.0, "training_seconds": None, "stall_fraction": None}
    assert parts(examples) == (0.0, 0.0, 5.0)
    said = timing_finding([examples, stage]).replace(NBSP, " ")
    assert "Longest step: teachers/a, 20 s." in said
    assert "Waiting for data took 12.5 % of all training time, most in teachers/a (12.5 % of its own)." in said
    assert timing_plot([examples]) is None
    predictions = [{**examples, "name": f"predictions/{name}"} for name in ("teachers/a", "students/plain")]
    plot = timing_plot([examples, stage, *predictions, {**examples, "name": "evaluation"}])
    assert plot is not None
    assert "predictions of 2 models" in plot.svg
    assert "predictions/" not in plot.svg
    assert "evaluation" in plot.svg


# Data.


def test_dataset_counts_rows_classes_and_what_was_put_aside(run_directory: RunDirectory) -> None:
    shards = []
    for split, labels in (("train", [0, 1, 1, -1]), ("unlabelled", [-1]), ("test", [0, 1])):
        ids = np.arange(len(labels))
        shards.append(Shard(split, 0, len(labels), hash_ids(ids)))
        columns = {"example_id": ids, "label": np.array(labels, np.int32), "inputs": list(np.zeros((len(labels), 2)))}
        write_table(run_directory, f"{EXAMPLES}/{shards[-1].name}", columns)
    Manifest(2, InputSpec("tokens", 64, "int32", 8000), tuple(shards)).save(run_directory)
    found = read_dataset(run_directory)
    assert found is not None
    assert found.rows == {"train": 4, "unlabelled": 1, "test": 2}
    assert found.classes_of("train").replace(NBSP, " ") == "0: 1 (33 %), 1: 2 (67 %)"
    assert found.classes_of("unlabelled") == "no labels"
    assert found.reasons == []
    for number, reasons in enumerate((["empty text", "empty text"], ["label is NaN"])):
        write_table(run_directory, f"quarantine/deep/part-{number}.parquet", {"reason": reasons, "row": reasons})
    found = read_dataset(run_directory)
    assert found is not None
    assert found.reasons == [("empty text", 2), ("label is NaN", 1)]
    assert ["quarantine", "empty text", "2"] in _rows(dataset_sheet(found))


def test_rare_reasons_are_counted_together(run_directory: RunDirectory) -> None:
    Manifest(2, InputSpec("features", 2, "float32"), ()).save(run_directory)
    reasons = ["common"] * 3 + [f"rare {number}" for number in range(20)]
    pq.write_table(pa.table({"reason": reasons}), _made(run_directory, "quarantine") + "/rows.parquet")
    found = read_dataset(run_directory)
    assert found is not None
    assert (found.reasons[0], found.reasons[-1], len(found.reasons)) == (("common", 3), ("other reasons", 9), 13)


def _made(run: RunDirectory, folder: str) -> str:
    run.filesystem.create_dir(run.path(folder), recursive=True)
    return run.path(folder)


# The page with all of it.


def test_columns_without_any_value_are_left_out_and_intervals_are_two_in_csv() -> None:
    titles = [column.title for column in results_columns([TEACHER, TMKD])]
    assert "MAP" not in titles
    assert "MAP" in [column.title for column in results_columns([{**TMKD, "map": 0.5}])]
    rows = _rows(table_sheet("results", [TEACHER, {**TMKD, "weights": [0.5, 0.5], "nll_ci95": [0.25, 0.75]}]))
    assert "weights" not in rows[0]
    assert rows[2][rows[0].index("nll_ci95_low")] == "0.25"
    assert rows[1][rows[0].index("nll_ci95_low")] == ""


def test_page_shows_every_figure_and_writes_it_as_csv(run_directory: RunDirectory) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50).astype(np.int32)
    predictions = {name: rng.dirichlet([1, 1], 100) for name in ("teacher/a", "teacher_ensemble", TMKD["name"])}
    teachers = ["teacher/a", "teacher_ensemble"]
    run_directory.write_json(FIGURES, figures(predictions, labels, {TMKD["name"]: 1.25}, teachers))
    run_directory.write_bytes("report/of-an-older-page.csv", b"")
    measured = {**evaluation(TEACHER, TOGETHER, _student(1.25)), "ece_bins": 15, "resamples": 1000, "groups": None,
                "threads": 1, "timing_batch": 256}  # fmt: skip
    measured["stages"][1]["training_seconds"] = 16.0
    write_report(config(), run_directory, measured)
    text = run_directory.read_bytes("report.html").decode()
    for title in ("Calibration", "Confusions", "Agreement with the teachers", "Where the time went"):
        assert f">{title}</h2>" in text
    assert "a bootstrap over rows, 1,000 resamples" in text
    assert "256 rows on one thread, after warming up" in text
    assert text.count("<svg") == 6  # frontier, reliability, two matrices, agreement, time
    names = run_directory.names("report", ".csv")
    assert names == [
        f"{name}.csv" for name in ("agreement", "calibration", "confusion", "frontier", "results", "stages")
    ]
    assert text.count('download="') == len(names)
