"""Bad input as a user meets it: `raykd run` ends with one line that says what and where, and exit code 2."""

import os
import platform
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from raykd.cli import main
from raykd.data.checks import QUARANTINE
from raykd.data.sources.tfrecord import masked_crc

ROWS = 40


def _raykd(
    arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code of the command, and what it says on standard error."""
    monkeypatch.setattr(sys, "argv", ["raykd", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), capsys.readouterr().err.strip()


def _table(**columns: Any) -> pa.Table:
    """Pixels, ids, texts, scores and labels, some of them changed."""
    pixels = [[float(row), 1.0] for row in range(ROWS)]
    usual = {
        "pixels": pixels,
        "query": [f"word {row}" for row in range(ROWS)],
        "number": list(range(ROWS)),
        "score": [0.5] * ROWS,
        "label": [row % 2 for row in range(ROWS)],
    }
    return pa.table({**usual, **columns})


def _with(values: Sequence[Any], row: int, value: Any) -> list[Any]:
    return [value if place == row else other for place, other in enumerate(values)]


LABELS = [row % 2 for row in range(ROWS)]
FEATURES = "data.columns.features=pixels"
TEXT = "data.columns.text=[query]"
SCORED = "data.columns.external={web: score}"


def _parquet(**columns: Any) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        pq.write_table(_table(**columns), folder / "rows.parquet", row_group_size=16)
        return "rows.parquet"

    return write


def _truncated(folder: Path) -> str:
    name = _parquet()(folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:-50])
    return name


def _mixed(folder: Path) -> str:
    pq.write_table(_table(), folder / "a.parquet")
    pq.write_table(_table(label=[str(label) for label in LABELS]), folder / "b.parquet")
    return "."


def _bytes_and_numbers(folder: Path) -> str:
    bytes_ = pa.array([[row, 1] for row in range(ROWS)], pa.list_(pa.uint8()))
    pq.write_table(_table(pixels=bytes_), folder / "a.parquet")
    pq.write_table(_table(), folder / "b.parquet")
    return "."


def _file(name: str, content: str | bytes) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write


def _images(folder: Path) -> str:
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(20):
            Image.new("L", (3, 3), number).save(folder / name / f"{number:02d}.png")
    broken = folder / "dog" / "07.png"
    broken.write_bytes(broken.read_bytes()[:40])
    return "."


def _nothing(folder: Path) -> str:
    return "absent.parquet"


CSV = "query,label\n" + "".join(f"word {row},{row % 2}\n" for row in range(ROWS))
JSONL = "".join(f'{{"query": "word {row}", "label": {row % 2}}}\n' for row in range(ROWS))
LENGTH = struct.pack("<Q", 100)
TFRECORD = LENGTH + struct.pack("<I", masked_crc(LENGTH)) + b"x" * 30


@dataclass(frozen=True)
class Case:
    """Bad input: what writes it, further settings, and what the line must say; FILE stands for its path."""

    write: Callable[[Path], str]
    settings: tuple[str, ...]
    parts: tuple[str, ...]


CASES = {
    "missing file": Case(_nothing, (FEATURES,), ("data.source: FILE: no such file or folder; expected docsqa, ",)),
    "truncated Parquet": Case(_truncated, (FEATURES,), ("FILE: not a complete Parquet file (", "; write it again")),
    "missing column": Case(
        _parquet(),
        ("data.columns.features=pixel",),
        ("FILE: column pixel is missing; found pixels, query, number, score, label; name the right ones under",),
    ),
    "wrong type of label": Case(
        _parquet(label=[[label] for label in LABELS]),
        (FEATURES,),
        ("FILE: labels are list<", ", expected integers from 0 or names; convert the column"),
    ),
    "wrong type of text": Case(
        _parquet(),
        ("data.columns.text=[number]",),
        ("FILE: column number holds int64, expected texts; convert the column or name another",),
    ),
    "wrong type of features": Case(
        _parquet(), ("data.columns.features=query",), ("FILE: column query holds string, expected lists of numbers",)
    ),
    "wrong type of id": Case(
        _parquet(), (FEATURES, "data.columns.id=query"), ("FILE: column query holds string, expected unique integers",)
    ),
    "label out of range": Case(
        _parquet(label=_with(LABELS, 17, 7)),
        (FEATURES, "data.classes=2"),
        ("FILE, row 17: label 7, but there are 2 classes (0-1); fix the row or set data.classes (1 of 40 rows is bad",),
    ),
    "negative label": Case(
        _parquet(label=_with(LABELS, 17, -7)),
        (FEATURES,),
        ("FILE, row 17: label -7, expected 0 or more, or -1 or null",),
    ),
    "label NaN": Case(
        _parquet(label=[float(label) for label in _with(LABELS, 3, float("nan"))]),
        (FEATURES,),
        ("FILE, row 3: label nan, expected 0 or more, or -1 or null where unknown; fix the row",),
    ),
    "unknown name": Case(
        _parquet(label=_with(["bad", "good"] * 20, 4, "maybe")),
        (FEATURES, "data.classes=[bad, good]"),
        ("FILE, row 4: label 'maybe', but the classes are bad, good; fix the row or set data.classes",),
    ),
    "duplicate id": Case(
        _parquet(number=_with(range(ROWS), 21, 5)),
        (FEATURES, "data.columns.id=number"),
        ("example_id 5 stands in FILE, row 5 and in FILE, row 21; expected unique ids; drop one of the rows",),
    ),
    "empty split": Case(
        _parquet(), (FEATURES, "data.test=0"), ("FILE: none of its 40 rows is left for the test split; give more rows",)
    ),
    "no row": Case(_file("rows.csv", "query,label\n"), (TEXT,), ("FILE: found no row, expected some; fill it or",)),
    "empty text": Case(
        _parquet(query=_with([f"word {row}" for row in range(ROWS)], 30, "  ")),
        (TEXT,),
        ("FILE, row 30: column query: the text is empty, expected at least one word; fix the row",),
    ),
    "class without examples": Case(
        _parquet(label=[2 * label for label in LABELS]),
        (FEATURES,),
        ("class 1 of 0 to 2 has no example; expected every class; renumber the labels or set data.allow_missing_cl",),
    ),
    "mixed schemas": Case(
        _mixed,
        (FEATURES,),
        ("b.parquet: column label holds text, but numbers in ", "a.parquet; expected the same in all files; convert"),
    ),
    "bytes and other numbers": Case(
        _bytes_and_numbers,
        (FEATURES,),
        (
            "b.parquet: column pixels holds lists of numbers, but lists of bytes in ",
            "a.parquet; expected the same in a",
        ),
    ),
    "labels that are none": Case(
        _parquet(label=[1_700_000_000 + row for row in range(ROWS)]),
        (FEATURES,),
        ("label: class 0 of 0 to 1700000039 has no example; expected every class; renumber the labels or set data.al",),
    ),
    "a teacher of other classes": Case(
        _parquet(score=[[0.2, 0.3, 0.5]] * ROWS),
        (FEATURES, SCORED, "data.classes=2"),
        ("data.columns.external: found scores of 3 classes, expected 2 as in data.classes; fix either",),
    ),
    "a score that is none": Case(
        _parquet(score=_with([0.5] * ROWS, 33, 1.5)),
        (FEATURES, SCORED),
        ("FILE, row 33: column score: found 1.5, expected probabilities from 0 to 1; fix the row or set kind: logits",),
    ),
    "a number that is none": Case(
        _parquet(pixels=_with([[1.0, 2.0]] * ROWS, 9, [0.0, float("inf")])),
        (FEATURES,),
        ("FILE, row 9: column pixels: number 1 is inf, expected finite numbers; fix the row",),
    ),
    "a list of another length": Case(
        _parquet(pixels=_with([[1.0, 2.0]] * ROWS, 9, [0.0])),
        (FEATURES,),
        ("FILE, row 9: column pixels: found 1 numbers, expected 2 as in the first row; pad or cut it",),
    ),
    "a CSV row of other cells": Case(
        _file("rows.csv", CSV.replace("word 6,0", "word 6,0,9")),
        (TEXT,),
        ("FILE, row 6: found 3 cells, expected 2; fix the row",),
    ),
    "a CSV file of other characters": Case(
        _file("rows.csv", CSV.encode().replace(b"word 6", b"w\xf6rd")), (TEXT,), ("FILE: not a CSV file in UTF-8",)
    ),
    "a line that is no JSON": Case(
        _file("rows.jsonl", JSONL.replace('"word 5",', '"word 5"')),
        (TEXT,),
        ("FILE, row 5: not valid JSON (Expecting ',' delimiter", "expected one object per line; fix the row"),
    ),
    "a JSON value of another type": Case(
        _file("rows.jsonl", JSONL.replace('"word 5"', "5")),
        (TEXT,),
        ("FILE, row 5: column query: found 5, expected a text; fix the row",),
    ),
    "a TFRecord file that is cut off": Case(
        _file("rows.tfrecord", TFRECORD), (TEXT,), ("FILE, row 0: the file ends after 30 of 100 bytes of a record",)
    ),
    "an image that is cut off": Case(
        _images, (), ("dog/07.png: not a complete image (", "; write it again or drop it")
    ),
    "several formats": Case(
        lambda folder: (_parquet()(folder), _file("more.csv", CSV)(folder), ".")[-1],
        (FEATURES,),
        ("data.source: FILE: found files of csv and parquet; expected one of parquet, csv, jsonl, tfrecord, images; ",),
    ),
    "an unknown key": Case(
        _parquet(), ("distill.alhpa=1",), ("digits: distill.alhpa: unknown key; did you mean alpha?",)
    ),
    "T of 0": Case(
        _parquet(), ("distill.temperature=0",), ("distill.temperature: found 0, expected:", "greater than 0")
    ),
    "alpha above 1": Case(_parquet(), ("distill.alpha=1.5",), ("distill.alpha: found 1.5, expected:", "or equal to 1")),
    "one class": Case(
        _parquet(), ("data.classes=1",), ("data.classes: found 1, expected: how many classes, from 2, or a list of 2",)
    ),
    "names that YAML reads as truth values": Case(
        _parquet(), ("data.classes=[no, yes]",), ("data.classes: found [False, True], expected: how many", "quote")
    ),
    "no write permission": Case(
        _parquet(),
        (FEATURES, "storage_path=/proc/raykd"),
        ("storage_path /proc/raykd/digits: can't be written (", "choose another with --storage-path or grant write"),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_input_is_one_line_and_exit_code_2(
    local_ray: None,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    source = folder / case.write(folder)
    settings = [f"storage_path={tmp_path}", f"data.source={source}", *case.settings]
    arguments = ["run", "digits", *(part for setting in settings for part in ("--set", setting))]
    code, said = _raykd(arguments, monkeypatch, capsys)
    assert (code, len(said.splitlines())) == (2, 1), said
    assert said.startswith("error: ")
    for part in case.parts:
        assert part.replace("FILE", str(source)) in said, said


def test_a_full_disk_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "digits"
    run.mkdir()
    # The names under which the configuration may be written before it gets its own.
    for writer in (f"{os.getpid()}", f"{platform.node()}-{os.getpid()}"):
        (run / f"config.yaml.part-{writer}").symlink_to("/dev/full")
    code, said = _raykd(["run", "digits", "--storage-path", str(tmp_path)], monkeypatch, capsys)
    assert (code, len(said.splitlines())) == (2, 1), said
    assert f"storage_path {run}: can't write config.yaml (No space left on device), expected room for" in said
    assert "choose another with --storage-path" in said


def _run_directory(tmp_path: Path) -> Any:
    from raykd.artifacts import RunDirectory

    return RunDirectory.at(str(tmp_path), "run")


def test_bad_rows_that_are_allowed_stand_in_quarantine_with_the_reason(local_ray: None, tmp_path: Path) -> None:
    from raykd.config import Columns, DataConfig
    from raykd.data.ingest import ingest

    labels = _with(_with(LABELS, 5, -3), 30, 9)
    name = _parquet(label=labels, query=_with([f"word {row}" for row in range(ROWS)], 12, ""))(tmp_path)
    columns = Columns(text=["query"])
    data = DataConfig(source=str(tmp_path / name), columns=columns, classes=2, streams=2, max_bad_fraction=0.1)
    run = _run_directory(tmp_path)
    manifest = ingest(run, data, seed=0, tasks=2)
    assert sum(shard.rows for shard in manifest.shards) == ROWS - 3
    aside = pq.read_table(run.path(QUARANTINE)).sort_by("row").to_pylist()
    assert [(row["file"], row["row"]) for row in aside] == [(str(tmp_path / name), row) for row in (5, 12, 30)]
    assert [row["reason"].partition(",")[0] for row in aside] == [
        "label -3", "column query: the text is empty", "label 9",
    ]  # fmt: skip
    assert [(row["found_query"], row["found_label"]) for row in aside] == [("word 5", -3), ("", 0), ("word 30", 9)]

    again = data.model_copy(update={"max_bad_fraction": 2 / ROWS})
    with pytest.raises(ValueError, match=r"row 5: label -3.*\(3 of 40 rows are bad, see .*allows 0\.05\)"):
        ingest(run, again, seed=0, tasks=2)


def test_bad_rows_change_nothing_about_the_others(local_ray: None, tmp_path: Path) -> None:
    from raykd.config import Columns, DataConfig
    from raykd.data.ingest import ingest
    from raykd.data.reader import Reader

    name = _file("rows.jsonl", JSONL.replace('{"query": "word 5"', '{"query": 5'))(tmp_path)
    data = DataConfig(
        source=str(tmp_path / name), columns=Columns(text=["query"]), streams=2, max_bad_fraction=0.5, vocabulary=200
    )
    run = _run_directory(tmp_path)
    manifest = ingest(run, data, seed=0, tasks=2)
    rows = list(Reader(run, manifest.shards, manifest.inputs).all())
    ids = np.concatenate([shard["example_id"] for shard in rows])
    assert sorted(ids.tolist()) == [row for row in range(ROWS) if row != 5]
    labels = dict(zip(ids.tolist(), np.concatenate([shard["label"] for shard in rows]).tolist(), strict=True))
    assert all(label == row % 2 for row, label in labels.items())
