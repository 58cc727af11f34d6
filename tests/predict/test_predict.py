"""Batch prediction with the finished digits run."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from raykd.artifacts import RunDirectory
from raykd.cli import main
from raykd.data.reader import Reader
from raykd.data.shards import read_manifest
from raykd.errors import InputError
from raykd.export.model import load_servable
from raykd.loading import parse_config
from raykd.predict.batch import _claim
from raykd.predict.command import _name_of, predict
from raykd.predict.members import check_trusted, members_of
from raykd.stored import keep_config, stored_config

DigitsRun = tuple[RunDirectory, dict[str, Any]]
PIXELS = ["data.columns.features=pixels"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as a user's own file, in row groups of 500."""
    pixels = (load_digits(return_X_y=True)[0] / 16.0).astype(np.float32)
    path = tmp_path_factory.mktemp("rows") / "digits.parquet"
    pq.write_table(pa.table({"pixels": list(pixels)}), path, row_group_size=500)
    return path


def _on_test_rows(run: RunDirectory, table: pa.Table) -> tuple[Any, Any, Any]:
    """Labels of the test split, and the predictions and probabilities of the same rows."""
    manifest = read_manifest(run)
    shards = list(Reader(run, manifest.of("test"), manifest.inputs).all())
    ids, labels = (np.concatenate([shard[name] for shard in shards]) for name in ("example_id", "label"))
    ordered = table.sort_by("row")
    assert ordered["row"].to_pylist() == list(range(1797))
    return labels, ordered["prediction"].to_numpy()[ids], np.stack(ordered["probabilities"].to_numpy())[ids]


def test_the_best_student_predicts_as_it_was_evaluated(
    digits_run: DigitsRun, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run, evaluation = digits_run
    arguments = ["raykd", "predict", run.path(), str(rows), "--set", *PIXELS, "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    said = capsys.readouterr().out
    name = said.split(" by ")[1].split(" in ")[0]
    assert said.startswith("1,797 rows by student/")
    accuracies = {
        path.parent.name: json.loads(path.read_text())["validation_accuracy"]
        for path in Path(run.path("students")).rglob("done.json")
    }
    assert accuracies[name.rpartition("/")[2]] == max(accuracies.values())
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["file", "row", "prediction", "probabilities"]
    np.testing.assert_allclose(np.stack(table["probabilities"].to_numpy()).sum(axis=1), 1.0, atol=1e-6)
    labels, predicted, probabilities = _on_test_rows(run, table)
    [model] = [model for model in evaluation["models"] if model["name"] == name]
    assert (labels == predicted).mean() == pytest.approx(model["accuracy"])
    # Calibrated: the loss differs from that of the plain probabilities.
    assert log_loss(labels, probabilities) == pytest.approx(model["nll_tempered"], rel=1e-4)
    assert abs(model["nll_tempered"] - model["nll"]) > 1e-3 * model["nll"]


@pytest.mark.slow
def test_an_interrupted_ensemble_goes_on_with_what_is_missing(
    digits_run: DigitsRun, rows: Path, tmp_path: Path
) -> None:
    run, evaluation = digits_run
    out = tmp_path / "out"
    settings = {"model": "ensemble/many_on_many", "output": str(out), "overrides": PIXELS}
    first = predict(run.path(), str(rows), **settings)
    parts = sorted(out.glob("*.parquet"))
    assert [part.name.split("-")[1] for part in parts] == ["000000", "000001", "000002", "000003"]
    labels, predicted, _ = _on_test_rows(run, pq.read_table(out))
    [model] = [model for model in evaluation["models"] if model["name"] == "ensemble/many_on_many"]
    assert (labels == predicted).mean() == pytest.approx(model["accuracy"])

    contents = {part: part.read_bytes() for part in parts}
    parts[2].unlink()
    (out / "_raykd" / "done.json").unlink()
    times = {part: part.stat().st_mtime_ns for part in parts if part.exists()}
    assert predict(run.path(), str(rows), **settings).rows == first.rows == 1797
    assert {part: part.read_bytes() for part in parts} == contents
    assert {part: part.stat().st_mtime_ns for part in times} == times


def test_files_that_are_not_raykds_are_left_alone(digits_run: DigitsRun, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match=r"--output .*found files that are no predictions of raykd, expected a new"):
        predict(digits_run[0].path(), str(rows), output=str(tmp_path), overrides=PIXELS)
    assert (tmp_path / "thesis.txt").read_text() == "x"


def test_other_predictions_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "_raykd").mkdir()
    (tmp_path / "_raykd" / "settings.json").write_text('{"fingerprint": "of other rows"}')
    out = RunDirectory.at(str(tmp_path.parent), tmp_path.name)
    with pytest.raises(InputError, match=r"--output .*found predictions of other rows, or by another model"):
        _claim(out, "of these rows", replaces=False)
    assert out.exists("_raykd/settings.json")
    _claim(out, "of these rows", replaces=True)
    assert out.read_json("_raykd/settings.json") == {"fingerprint": "of these rows"}


@pytest.mark.parametrize(
    ("run", "settings", "problem"),
    [
        ("nowhere", {}, "nowhere: found no config.yaml in "),
        (None, {"model": "student/nobody"}, "--model student/nobody: not in this run; expected one of teacher/wide, "),
        (None, {"overrides": []}, "column features is missing; found pixels; name the right"),
        (None, {"overrides": ["data.columns.features=image"]}, "column image is missing; found pixels; name the right"),
        (None, {"overrides": ["data.columns={features: photo}"]}, "column photo is missing; found pixels"),
    ],
)
def test_what_cannot_be_predicted_is_told(
    digits_run: DigitsRun, rows: Path, run: str | None, settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError) as raised:
        predict(run or digits_run[0].path(), str(rows), **{"overrides": PIXELS, **settings})
    assert problem in str(raised.value)


@pytest.mark.slow
def test_other_numbers_than_the_models_have_learned_from(digits_run: DigitsRun, tmp_path: Path) -> None:
    pq.write_table(pa.table({"pixels": [[0.5, 0.25]]}), tmp_path / "short.parquet")
    with pytest.raises(InputError, match="found 2 numbers in a row, expected 64 as the models have learned from"):
        predict(digits_run[0].path(), str(tmp_path / "short.parquet"), output=str(tmp_path / "out"), overrides=PIXELS)


def test_no_two_sources_share_a_folder() -> None:
    sources = ["/d/2024.01.csv", "/d/2024.02.csv", "/e/2024.01.csv", "s3://b/2024.01.csv", "s3://b/*.csv", "/d"]
    names = [_name_of(source) for source in sources]
    assert names[0].startswith("2024.01.csv-")
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)


def test_models_of_a_run_that_was_begun_anew_do_not_predict(digits_run: DigitsRun, tmp_path: Path) -> None:
    shutil.copytree(digits_run[0].path(), tmp_path / "digits")
    run = RunDirectory.at(str(tmp_path), "digits")
    as_evaluated = stored_config(run)
    begun = as_evaluated.model_copy(update={"sweep": as_evaluated.sweep.model_copy(update={"enabled": True})})
    exported = as_evaluated.export.model_copy(update={"formats": ["onnx"]})
    keep_config(run, begun.model_copy(update={"export": exported}))
    assert stored_config(run) == as_evaluated.model_copy(update={"export": exported})
    members_of(as_evaluated, run, read_manifest(run), "students/many_on_one")
    run.write_json("examples/settings.json", {"fingerprint": "of other rows"})
    with pytest.raises(InputError, match=r"many_on_one: was made of other data or settings than examples .* has now"):
        members_of(as_evaluated, run, read_manifest(run), "students/many_on_one")
    with pytest.raises(InputError, match=r"was made of other data or settings than examples"):
        load_servable(as_evaluated, "student/many_on_one", run)


def test_code_is_not_imported_from_a_run_directory(digits_run: DigitsRun) -> None:
    run, _ = digits_run
    import yaml

    values = yaml.safe_load(run.read_bytes("config.yaml"))
    values["student"]["model"] = {"type": "somebodys.module:body"}
    members = members_of(parse_config(values), run, read_manifest(run), "students/many_on_one")
    with pytest.raises(InputError, match=r"somebodys\.module:body, and code of your own.*add --config FILE"):
        check_trusted(members, "config.yaml")
