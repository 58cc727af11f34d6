"""Several runs on one page, and the command that writes pages."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import PLAIN, TEACHER, TMKD, TOGETHER, config, evaluation
from typer.testing import CliRunner

from raykd.artifacts import RunDirectory
from raykd.cli import app
from raykd.config import Config
from raykd.errors import InputError
from raykd.report.comparison import by_model, labels, summary, write_comparison
from raykd.report.comparison_plot import comparison_plot
from raykd.report.finished import Finished, read_finished
from raykd.report.provenance import differences

NBSP = "\N{NO-BREAK SPACE}"


def _finished(folder: Path, name: str, accuracy: float, alpha: float = 0.9) -> Finished:
    distill = config().distill.model_copy(update={"alpha": alpha})
    own = config(name).model_copy(update={"distill": distill})
    run = RunDirectory(str(folder / name))
    run.write_bytes("config.yaml", yaml.safe_dump(own.model_dump(mode="json")).encode())
    models = [TEACHER, TOGETHER, PLAIN, {**TMKD, "accuracy": accuracy}]
    run.write_json("evaluation.json", evaluation(*(models if name != "short" else models[:2])))
    return read_finished(run.root)


def test_runs_of_the_same_name_are_numbered(tmp_path: Path) -> None:
    one, two = _finished(tmp_path / "x", "a", 0.7), _finished(tmp_path / "y", "a", 0.8)
    assert list(labels([one, two, _finished(tmp_path, "b", 0.9)])) == ["a (1)", "a (2)", "b"]


def test_models_are_side_by_side_with_mean_and_deviation(tmp_path: Path) -> None:
    runs = labels([_finished(tmp_path, "a", 0.7), _finished(tmp_path, "b", 0.8), _finished(tmp_path, "short", 0.0)])
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in by_model(runs)}
    tmkd = rows["student/many_on_one"]
    assert (tmkd["a"], tmkd["b"], "short" in tmkd) == (0.7, 0.8, False)
    assert tmkd["mean"] == pytest.approx(0.75)
    assert tmkd["deviation"] == pytest.approx(0.1 / 2**0.5)  # n - 1 = 1
    assert rows["teacher/a"]["deviation"] == 0.0
    assert (
        summary(runs)
        .replace(NBSP, " ")
        .startswith("Accuracy of each run’s student on its test split, highest first: b 80.00 %")
    )
    assert summary({"short": runs["short"]}) == "None of these runs trained a student."


def test_settings_that_differ_are_named_by_their_dotted_key() -> None:
    first = config("a")
    teacher = first.teachers[1].model_copy(
        update={"training": first.teachers[1].training.model_copy(update={"epochs": 9})}
    )
    other = first.model_copy(update={"seed": 3, "name": "b", "teachers": [first.teachers[0], teacher]})
    assert differences({"a": first, "b": other}) == [("seed", ["0", "3"]), ("teachers.b.training.epochs", ["6", "9"])]
    one_less = first.model_copy(update={"teachers": first.teachers[:1]})
    assert differences({"a": first, "b": one_less}) == [("teachers.b", ["mlp", "–"])]


def test_comparison_plot_fills_each_runs_student() -> None:
    plot = comparison_plot({"a": [TEACHER, TMKD], "b": [TEACHER, PLAIN]})
    assert plot is not None
    assert plot.finding.replace(NBSP, " ").endswith(
        "a: student/many_on_one, 78.00 %, 980 examples/s; b: student/plain, 70.00 %, 1,000 examples/s."
    )
    assert comparison_plot({"a": [{**TEACHER, "examples_per_second": None}]}) is None


def test_comparison_page_stands_alone_with_its_tables_beside_it(tmp_path: Path) -> None:
    write_comparison(
        [_finished(tmp_path, "a", 0.7), _finished(tmp_path, "b", 0.8, alpha=0.5)], tmp_path / "out" / "ab.html"
    )
    text = (tmp_path / "out" / "ab.html").read_text()
    assert "distill.alpha" in text
    assert "https://" not in text
    assert sorted(file.name for file in (tmp_path / "out" / "ab").iterdir()) == [
        "models.csv",
        "runs.csv",
        "settings.csv",
    ]
    rows = list(csv.DictReader((tmp_path / "out" / "ab" / "runs.csv").open()))
    assert [(row["run"], row["student"], row["accuracy"]) for row in rows] == [
        ("a", "student/many_on_one", "0.7"), ("b", "student/many_on_one", "0.8"),
    ]  # fmt: skip


def test_command_rewrites_one_page_or_compares_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        _finished(tmp_path, name, 0.75)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["report", "a"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a" / "report.html").exists()
    assert (tmp_path / "a" / "report" / "results.csv").exists()
    monkeypatch.chdir("/")
    done = CliRunner().invoke(
        app, ["report", "a", "b", "--storage-path", str(tmp_path), "--output", str(tmp_path / "c.html")]
    )
    assert done.exit_code == 0, done.output
    assert "a · b" in (tmp_path / "c.html").read_text()


def test_a_directory_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no config\.yaml in .*, expected a run directory"):
        read_finished(str(tmp_path))
    run = RunDirectory(str(tmp_path))
    run.write_bytes("config.yaml", b"{}")
    with pytest.raises(InputError, match=r"found no evaluation\.json, expected the directory of a finished run"):
        read_finished(str(tmp_path))
    run.write_bytes("evaluation.json", b"{}")
    with pytest.raises(InputError, match=r"evaluation\.json: found no models, expected the file as raykd wrote it"):
        read_finished(str(tmp_path))


def test_a_page_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"--output {tmp_path}: can't be written \(Is a directory\); name another"):
        write_comparison([_finished(tmp_path, "a", 0.7), _finished(tmp_path, "b", 0.8)], tmp_path)


def test_a_moved_run_is_read_where_it_is(tmp_path: Path) -> None:
    found = _finished(tmp_path, "a", 0.7)
    assert isinstance(found.config, Config)
    assert found.directory.root == str(tmp_path / "a")
