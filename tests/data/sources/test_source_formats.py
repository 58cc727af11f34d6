"""The same rows in every format, and what only some formats have."""

import csv as csv_module
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from reading import TEXT, data_of, read, set_aside

from raykd.config import Columns
from raykd.data.sources import csv, open_source, parquet, records
from raykd.data.sources.pieces import IDS_PER_FILE
from raykd.errors import InputError

ROWS = [
    {"query": f'word {row}, "quoted" and\nbroken' if row % 3 == 0 else f"wörd {row}",
     "label": ["no", "yes", None][row % 3], "weights": [row / 2, -1.0], "p": row / 16, "key": 100 + row}
    for row in range(10)
]  # fmt: skip
COLUMNS = Columns(text=["query"], external={"web": "p"}, id="key")


def _csv(path: Path, rows: list[dict[str, Any]], **settings: Any) -> None:
    open_ = gzip.open if path.suffix == ".gz" else open
    with open_(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv_module.DictWriter(file, list(rows[0]), **settings)
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "weights": json.dumps(row["weights"])} if "weights" in row else row)


def _tfrecord(path: Path, rows: list[dict[str, Any]]) -> None:
    def feature(value: Any) -> tf.train.Feature:
        if isinstance(value, str):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        values = value if isinstance(value, list) else [value]
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    options = tf.io.TFRecordOptions(compression_type="GZIP" if path.suffix == ".gz" else "")
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for row in rows:
            features = {name: feature(value) for name, value in row.items() if value is not None}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], Any]] = {
    "rows.parquet": lambda path, rows: pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=4),
    "rows.csv": _csv,
    "rows.csv.gz": _csv,
    "rows.tsv": lambda path, rows: _csv(path, rows, delimiter="\t"),
    "rows.jsonl": lambda path, rows: path.write_text("\n".join(map(json.dumps, rows)) + "\n\n"),
    "rows.tfrecord": _tfrecord,
    "rows.tfrecord.gz": _tfrecord,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ROWS)
    rows = read(data_of(tmp_path / name, COLUMNS), tmp_path)
    assert [row["example_id"] for row in rows] == list(range(100, 110))
    assert [row["text_0"] for row in rows] == [row["query"] for row in ROWS]
    assert [row["label"] for row in rows] == [row["label"] for row in ROWS]
    # log 0.5625 = -0.575364; float16 stand 1/2048 apart there.
    assert rows[9]["logits_of_web"][1] == -1178 / 2048
    assert set_aside(tmp_path) == []


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_numbers(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ROWS)
    rows = read(data_of(tmp_path / name, Columns(features="weights"), classes=["yes", "no"]), tmp_path)
    assert [row["example_id"] for row in rows] == list(range(10))
    assert [row["features"] for row in rows] == [row["weights"] for row in ROWS]
    assert [row["label"] for row in rows[:3]] == [1, 0, -1]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.jsonl"])
def test_columns_of_one_number_each_are_features_too(tmp_path: Path, name: str) -> None:
    rows = [{"width": 1, "height": 0.5, "label": 1}, {"width": 2, "height": -3.0, "label": 0}]
    WRITERS[name](tmp_path / name, rows)
    found = read(data_of(tmp_path / name, Columns(features=["height", "width"]), classes=2), tmp_path)
    assert [row["features"] for row in found] == [[0.5, 1.0], [-3.0, 2.0]]
    assert [row["label"] for row in found] == [1, 0]


def test_ids_of_files_that_are_not_counted_first_stand_apart(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("query,label\none,0\ntwo,1\n")
    rows = read(data_of(tmp_path), tmp_path)
    assert [row["example_id"] for row in rows] == [0, 1, IDS_PER_FILE, IDS_PER_FILE + 1]


def test_a_csv_file_is_read_block_by_block_and_its_rows_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "_BLOCK_BYTES", 200)
    lines = [f'"word {row}\nnext line",{row % 2}' for row in range(100)]
    for row in (0, 41, 42, 99):
        lines[row] = f"word,{row},too many"
    lines[60] = ",1"
    (tmp_path / "rows.csv").write_text("query,label\n" + "\n".join(lines) + "\n")
    rows = read(data_of(tmp_path / "rows.csv"), tmp_path)
    kept = [row for row in range(100) if row not in (0, 41, 42, 60, 99)]
    assert [row["example_id"] for row in rows] == kept
    assert [row["text_0"] for row in rows] == [f"word {row}\nnext line" for row in kept]
    ragged = "found 3 cells, expected 2; fix the row"
    empty = "column query: the text is empty, expected at least one word; fix the row"
    assert set_aside(tmp_path) == [(row, empty if row == 60 else ragged) for row in (0, 41, 42, 60, 99)]


def test_rows_that_a_quote_of_a_tsv_file_takes_in_are_told(tmp_path: Path) -> None:
    lines = ["a\t0\tx", 'b\t1\t"3 inches', "c\t0\tx", 'd\t1\t5" wide', "e\t1\tx", '"f\n""g"" h"\t0\tx']
    (tmp_path / "rows.tsv").write_text("query\tlabel\tnote\n" + "\n".join(lines) + "\n")
    rows = read(data_of(tmp_path / "rows.tsv", max_bad_fraction=0.9), tmp_path)
    assert [row["text_0"] for row in rows] == ["a", "e", 'f\n"g" h']
    told = "column note: a quote takes in the 2 lines that follow; write a quote in a cell as two, and quotes around "
    assert set_aside(tmp_path) == [(1, f"{told}the cell")]


def test_tabs_and_lines_in_cells_of_a_tsv_file_are_no_rows(tmp_path: Path) -> None:
    code = "def f():\n\treturn 1\n"
    rows = [{"query": code, "label": 0, "note": "x"}, {"query": "a", "label": 1, "note": f"{code}\n\t\tb"}]
    _csv(tmp_path / "three.tsv", rows, delimiter="\t")
    _csv(tmp_path / "two.tsv", [{"label": 0, "query": code}, {"label": 1, "query": "a"}], delimiter="\t")
    found = [[row["text_0"] for row in read(data_of(tmp_path / name), tmp_path)] for name in ("three.tsv", "two.tsv")]
    assert found == [[code, "a"], [code, "a"]]


def test_columns_of_a_tsv_file_that_nothing_reads_may_be_of_another_encoding(tmp_path: Path) -> None:
    lines = [f"a\t{row % 2}\tx" for row in range(20_000)]
    content = "query\tlabel\tnote\n" + "\n".join(lines) + "\nb\t1\t"
    (tmp_path / "rows.tsv").write_bytes(content.encode() + "caf\u00e9\n".encode("latin-1"))
    assert [row["text_0"] for row in read(data_of(tmp_path / "rows.tsv"), tmp_path)][-1] == "b"


def test_a_jsonl_file_is_read_some_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_ROWS", 4)
    lines = [json.dumps({"query": f"word {row}", "label": row % 2}) for row in range(11)]
    lines[5], lines[9] = "[1, 2]", '{"query": "word 9"}'
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    rows = read(data_of(tmp_path / "rows.jsonl"), tmp_path)
    assert [row["example_id"] for row in rows] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert rows[-2]["label"] is None
    assert set_aside(tmp_path) == [(5, "found list, expected an object such as {...}; fix the row")]


@pytest.mark.parametrize("layout", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_texts_are_read_in_all_of_arrows_layouts(tmp_path: Path, layout: pa.DataType) -> None:
    words = pa.array(["a", "b", "a"]).cast(layout)
    labels = pa.array(["no", "yes", None]).cast(layout)
    pq.write_table(pa.table({"query": words, "label": labels, "topic": words}), tmp_path / "rows.parquet")
    rows = read(data_of(tmp_path / "rows.parquet", Columns(text=["query"], group="topic")), tmp_path)
    assert [(row["text_0"], row["label"]) for row in rows] == [("a", "no"), ("b", "yes"), ("a", None)]
    assert rows[0]["group"] == rows[2]["group"] != rows[1]["group"]


def test_wide_rows_are_read_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_BYTES", 30_000)
    rows = [{"query": f"{row:04d}" * 250, "label": row % 2} for row in range(100)]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "rows.parquet", use_dictionary=False)
    data = data_of(tmp_path / "rows.parquet")
    source = open_source(data)
    chunks = list(parquet.chunks(source.filesystem, source.pieces[0], data, True))
    assert 20 <= max(len(chunk.table) for chunk in chunks) <= 30  # A row has 1,000 bytes and some.
    assert [row["text_0"] for row in read(data, tmp_path)] == [row["query"] for row in rows]


def test_lines_that_json_allows_and_arrow_does_not_are_bad_rows(tmp_path: Path) -> None:
    lines = ['{"text": "first", "label": 0, "id": 7}', '{"text": "a \\ud83d b", "label": 1, "id": 8}']
    lines += ['{"text": "c", "label": 1, "id": 9223372036854775808}', '{"text": "d", "label": "\\udc00", "id": 9}']
    (tmp_path / "train.jsonl").write_text("\n".join(lines), encoding="utf-8-sig")
    data = data_of(tmp_path / "train.jsonl", Columns(text=["text"], id="id"), max_bad_fraction=0.9)
    assert [row["text_0"] for row in read(data, tmp_path)] == ["first"]


def test_rows_with_a_label_may_come_last(tmp_path: Path) -> None:
    rows = [{"query": "a"}] * 4100 + [{"query": "b", "label": 1}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read(data_of(tmp_path / "rows.jsonl", TEXT), tmp_path)
    assert len(found) == 4101


def test_records_name_a_column_that_none_of_them_has(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "a", "label": 1}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl: column query is missing; found question, label; name"):
        read(data_of(tmp_path / "rows.jsonl"), tmp_path)


def test_a_csv_cell_that_is_no_number_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,y,label\n1,2,0\n3,four,1\n5,,1\n6,7,1\n")
    rows = read(data_of(tmp_path / "rows.csv", Columns(features=["x", "y"])), tmp_path)
    assert [row["features"] for row in rows] == [[1, 2], [6, 7]]
    assert set_aside(tmp_path) == [
        (1, "column y: found 'four', expected a number; fix the row"),
        (2, "column of x, y: number 1 is nan, expected finite numbers; fix the row"),
    ]


def test_a_file_that_is_no_tfrecord_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.tfrecord").write_bytes(b"query,label\nword,1\n")
    with pytest.raises(InputError, match=r"rows\.tfrecord, row 0: not a TFRecord's length and checksum"):
        read(data_of(tmp_path / "rows.tfrecord"), tmp_path)


def test_rows_to_predict_need_no_label(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("query\none\ntwo\n")
    with pytest.raises(InputError, match="column label is missing"):
        read(data_of(tmp_path / "rows.csv"), tmp_path)
    assert read(data_of(tmp_path / "rows.csv", TEXT), tmp_path, labelled=False) == [
        {"example_id": 0, "text_0": "one"}, {"example_id": 1, "text_0": "two"},
    ]  # fmt: skip
