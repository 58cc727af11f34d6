"""Bundles of each format: written, loaded back, compared; and used without raykd."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose
from tiny_run import CLASS_NAMES, LENGTH, texts, tiny_config, write_run
from tokenizers import Tokenizer

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.data.encoding import encode_rows, encode_texts
from raykd.data.shards import read_manifest
from raykd.export.bundle import export
from raykd.export.loader import Bundle
from raykd.export.model import load_servable, predict
from raykd.export.published import exported_formats, local_bundle
from raykd.export.verify import validation_rows

_STUDENT = {"type": "cross_encoder", "layers": 1, "width": 16, "dropout": 0.0}
_ALL = ["saved_model", "keras", "onnx", "litert"]


def _ignore(event: dict[str, Any]) -> None:
    """Progress."""


def _exported(
    tmp_path: Path, student: dict[str, Any], name: str, formats: list[str]
) -> tuple[RunDirectory, Config, Any]:
    config = tiny_config(str(tmp_path), student, formats=formats, model=name, licence="apache-2.0")
    run = write_run(config, [name])
    return run, config, {found["format"]: found for found in export(config, run, _ignore)["exports"]}


@pytest.fixture(scope="module")
def texts_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, Config, Any]:
    """A many-on-one student of texts in every format."""
    return _exported(tmp_path_factory.mktemp("texts"), _STUDENT, "student/many_on_one", _ALL)


def test_every_format_predicts_texts_as_the_source(texts_run: tuple[RunDirectory, Config, Any]) -> None:
    _, _, found = texts_run
    assert list(found) == _ALL
    assert all(found[format]["largest_difference"] <= 1e-5 for format in ("saved_model", "keras", "onnx"))
    assert abs(found["litert"]["accuracy_change"]) <= 0.005
    assert found["litert"]["bytes"] < found["onnx"]["bytes"]


def test_formats_agree_on_raw_texts(texts_run: tuple[RunDirectory, Config, Any]) -> None:
    run, _, _ = texts_run
    folder = local_bundle(run, "student/many_on_one")
    queries, passages = texts(seed=5, rows=9)
    rows = [{"passage": passage, "query": query} for query, passage in zip(queries, passages, strict=True)]
    saved, onnx = Bundle(folder), Bundle(folder, "onnx")
    assert saved.format == "saved_model"
    assert_allclose(saved(rows), onnx(rows), atol=1e-5)
    assert_allclose(saved(rows[3:4]), saved(rows)[3:4], atol=1e-6)  # padding changes nothing
    outputs = saved.outputs(rows)
    assert saved.parts == ["head golden", "head a", "head b"]
    assert_allclose(outputs["parts"].mean(axis=1), outputs["probabilities"], atol=1e-6)


def test_saved_model_reads_texts_itself(texts_run: tuple[RunDirectory, Config, Any]) -> None:
    run, _, _ = texts_run
    folder = local_bundle(run, "student/many_on_one")
    queries, passages = texts(seed=7, rows=30)
    model = tf.saved_model.load(str(folder / "saved_model"))
    found = model.signatures["serve_texts"](text_0=tf.constant(queries), text_1=tf.constant(passages))
    expected = Bundle(folder)(list(zip(queries, passages, strict=True)))
    assert_allclose(found["probabilities"], expected, atol=1e-6)


def test_bundle_encodes_as_ingestion_does(texts_run: tuple[RunDirectory, Config, Any]) -> None:
    run, _, _ = texts_run
    columns = texts(seed=6, rows=20)
    tokenizer = Tokenizer.from_str(run.read_bytes("examples/tokenizer.json").decode())
    expected = encode_texts(tokenizer, columns)
    inputs = Bundle(local_bundle(run, "student/many_on_one")).encode(list(zip(*columns, strict=True)))
    assert inputs.shape == (20, LENGTH)
    assert [row[row > 0].tolist() for row in inputs] == [row.tolist() for row in expected]


def test_bundle_cuts_and_pads_as_its_run_did(texts_run: tuple[RunDirectory, Config, Any], tmp_path: Path) -> None:
    run, _, _ = texts_run
    shutil.copytree(local_bundle(run, "student/many_on_one"), tmp_path / "bundle")
    path = tmp_path / "bundle" / "manifest.json"
    described = json.loads(path.read_text())
    described["inputs"]["pad_id"], described["truncation"] = 1, "only_second"
    path.write_text(json.dumps(described))
    words = [" ".join(texts(seed=seed, rows=3)[0]) for seed in range(8)]
    columns = [words[:4], words[4:]]
    columns[0][0], columns[0][1] = "a", " ".join(words[0].split()[: LENGTH - 6])
    tokenizer = Tokenizer.from_str(run.read_bytes("examples/tokenizer.json").decode())
    tokenizer.no_truncation()
    (tmp_path / "bundle" / "tokenizer.json").write_text(tokenizer.to_str())
    expected, cut = encode_rows(tokenizer, columns, "only_second", LENGTH)
    assert cut
    bundle = Bundle(tmp_path / "bundle")
    inputs = bundle.encode(list(zip(*columns, strict=True)))
    for row, ids in zip(inputs, expected, strict=True):
        assert row.tolist() == [*ids.tolist(), *[1] * (len(row) - len(ids))]
    assert bundle.encode([("a", "b")])[0][-1] == 1


@pytest.mark.slow
def test_bundle_needs_no_raykd(texts_run: tuple[RunDirectory, Config, Any]) -> None:
    run, _, _ = texts_run
    folder = local_bundle(run, "student/many_on_one")
    rows = [["sum of the array", "returns the sum over an axis"], ["open a file", "mean of values"]]
    code = (
        "import json, runpy, sys; sys.modules['raykd'] = None\n"
        f"sys.argv = ['load.py']; runpy.run_path({str(folder / 'load.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(rows), capture_output=True, text=True, check=True, cwd="/"
    )
    assert_allclose(json.loads(done.stdout), Bundle(folder)(rows), atol=1e-6)


def test_card_states_data_metrics_formats_and_licence(texts_run: tuple[RunDirectory, Config, Any]) -> None:
    run, _, found = texts_run
    text = run.read_bytes("export/student/many_on_one/README.md").decode()
    assert text.startswith("---\nlibrary_name: keras\nlicense: apache-2.0\n")
    assert "| accuracy | 75.00% |" in text
    assert all(f"| {format} | {found[format]['bytes'] / 1000:,.0f} kB |" in text for format in _ALL)
    assert "240 to choose on" in text
    assert "mean of head golden, head a, head b" in text
    assert "A classifier of 2 classes (`no`, `yes 'indeed'`), distilled from all teachers" in text


def test_bundle_knows_the_names_of_its_classes(texts_run: tuple[RunDirectory, Config, Any]) -> None:
    assert Bundle(local_bundle(texts_run[0], "student/many_on_one")).class_names == list(CLASS_NAMES)


def test_finished_bundle_is_that_of_the_present_evaluation(texts_run: tuple[RunDirectory, Config, Any]) -> None:
    run, _, _ = texts_run
    name = "student/many_on_one"
    assert exported_formats(run, name) == ()  # The step marks it done.
    run.finish(f"export/{name}", "any")
    assert exported_formats(run, name) == tuple(_ALL)
    kept = run.read_json("evaluation/done.json")
    run.write_json("evaluation/done.json", {"fingerprint": "another"})
    assert exported_formats(run, name) == ()
    run.write_json("evaluation/done.json", kept)


@pytest.mark.slow
def test_digits_in_every_format(digits_config: Config, digits_run: tuple[RunDirectory, dict[str, Any]]) -> None:
    run, _ = digits_run
    section = digits_config.export.model_copy(update={"formats": _ALL, "model": "ensemble/many_on_many"})
    facts = export(digits_config.model_copy(update={"export": section}), run, _ignore)
    found = {one["format"]: one for one in facts["exports"]}
    assert all(found[format]["largest_difference"] <= 1e-5 for format in ("saved_model", "keras", "onnx"))
    assert abs(found["litert"]["accuracy_change"]) <= 0.005
    bundle = Bundle(local_bundle(run, "ensemble/many_on_many"), "onnx")
    shape = bundle([[0.0] * 64, [0.5] * 64]).shape
    run.delete_folder("export")  # Other tests look at the run too.
    assert shape == (2, 10)


@pytest.mark.slow
def test_temperature_of_a_calibrated_student_is_applied(tmp_path: Path) -> None:
    config = tiny_config(str(tmp_path), _STUDENT, formats=["saved_model"])
    run = write_run(config, ["student/many_on_one"])
    plain = predict(load_servable(config, "student/many_on_one", run), validation_rows(run, read_manifest(run)))
    run.write_json("students/many_on_one/temperature.json", {"temperature": 2.0})
    evaluated = run.read_json("evaluation/models.json")
    evaluated["models"][0] |= {"nll": 0.5, "nll_tempered": 0.25}
    run.write_json("evaluation/models.json", evaluated)
    export(config, run, _ignore)
    assert "| NLL (nats) | 0.2500 |" in run.read_bytes("export/student/many_on_one/README.md").decode()
    rows = validation_rows(run, read_manifest(run))
    found = Bundle(local_bundle(run, "student/many_on_one")).run(rows["inputs"])["probabilities"]
    roots = np.sqrt(plain)
    assert_allclose(found, roots / roots.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("type_", ["cross_encoder", "bi_encoder", "bilstm"])
def test_ensemble_of_each_type_of_student_in_every_format(tmp_path: Path, type_: str) -> None:
    _, _, found = _exported(tmp_path, {"type": type_, "layers": 1, "width": 16}, "ensemble/many_on_many", _ALL)
    assert all(found[format]["largest_difference"] <= 1e-5 for format in ("saved_model", "keras", "onnx"))
    assert abs(found["litert"]["accuracy_change"]) <= 0.005


def exact_gelu(inputs: Any) -> keras.Model:
    """The mean of token vectors through the exact GELU, as many pretrained models have it."""
    ids = keras.Input((None,), dtype="int32")
    vectors = keras.layers.Embedding(inputs.vocabulary, 8)(ids)
    states = keras.layers.Dense(8, activation=lambda x: keras.ops.gelu(x, approximate=False))(vectors)
    return keras.Model(ids, keras.layers.GlobalAveragePooling1D()(states))


@pytest.mark.slow
def test_exact_gelu_runs_in_onnx_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    student = {"type": f"{Path(__file__).stem}:exact_gelu"}
    _, _, found = _exported(tmp_path, student, "student/many_on_one", ["onnx"])
    assert found["onnx"]["largest_difference"] <= 1e-5
