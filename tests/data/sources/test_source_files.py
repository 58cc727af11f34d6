"""What a path, glob, folder or URI names."""

from pathlib import Path

import pytest
from reading import data_of

from raykd.data.sources.files import files_of
from raykd.errors import InputError


def _make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("names", "source", "settings", "kind", "found"),
    [
        (["a.parquet", "b.pq", ".hidden.parquet", "_SUCCESS", "notes.txt"], "", {}, "parquet", ["a.parquet", "b.pq"]),
        (["a.csv.gz", "b.tsv"], "", {}, "csv", ["a.csv.gz", "b.tsv"]),
        (["a.jsonl", "a.parquet"], "*.jsonl", {}, "jsonl", ["a.jsonl"]),
        (["a.jsonl", "a.parquet"], "", {"format": "parquet"}, "parquet", ["a.parquet"]),
        (["x/a.csv", "x/y/b.csv", "c.csv"], "*/*.csv", {}, "csv", ["x/a.csv"]),
        (["x/a.csv", "x/y/b.csv", "c.csv"], "**/*.csv", {}, "csv", ["c.csv", "x/a.csv", "x/y/b.csv"]),
        (["part-1", "part-2"], "", {"format": "tfrecord"}, "tfrecord", ["part-1", "part-2"]),
        (["a.tfrecord-00001-of-00002", "a.tfrecord-00000-of-00002"], "", {}, "tfrecord",
         ["a.tfrecord-00000-of-00002", "a.tfrecord-00001-of-00002"]),
        (["cat/1.png", "dog/2.JPG", "dog/about.txt"], "", {}, "images", ["cat/1.png", "dog/2.JPG"]),
        (["only.parquet"], "only.parquet", {}, "parquet", ["only.parquet"]),
    ],
)  # fmt: skip
def test_files_of_a_source(
    tmp_path: Path, names: list[str], source: str, settings: dict[str, str], kind: str, found: list[str]
) -> None:
    _make(tmp_path, *names)
    told, files = files_of(data_of(tmp_path / source, **settings))
    assert (told, [file.relative for file in files]) == (kind, found)
    assert all(Path(file.path).read_bytes() == b"x" and file.size == 1 and file.modified > 0 for file in files)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train.csv", "test.csv", "validation.csv"], ["test", "train", "validation"]),
        (["train-00000-of-00002.csv", "train-00001-of-00002.csv"], ["train", "train"]),
        (["test/part-1.csv", "train/part-1.csv", "train/part-2.csv"], ["test", "train", "train"]),
        (["training.csv", "tests.csv"], ["", ""]),
        (["test/a/1.png", "train/a/train.png"], ["test", "train"]),
        (["a/train.png", "b/test-1.png"], ["", ""]),
    ],
)
def test_names_of_files_and_folders_tell_the_split(tmp_path: Path, names: list[str], splits: list[str]) -> None:
    _make(tmp_path, *names)
    assert [file.split for file in files_of(data_of(tmp_path))[1]] == splits


@pytest.mark.parametrize(
    ("names", "source", "problem"),
    [
        (["train.csv", "more.csv"], "", "some files are named by split and some are not; name all of them <split>.csv"),
        (["train/a/1.png", "b/2.png"], "", "name all of them <split>/<class>/<image>"),
        (["notes.txt"], "", "found no file with an ending that tells its format; expected one of parquet, csv"),
        (["a.csv"], "*.parquet", "no such file or folder"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, names: list[str], source: str, problem: str) -> None:
    _make(tmp_path, *names)
    with pytest.raises(InputError, match=r"data\.source: ") as raised:
        files_of(data_of(tmp_path / source))
    assert problem in str(raised.value)


def test_a_uri_of_an_unknown_kind_is_named() -> None:
    with pytest.raises(InputError, match=r"data\.source: ftp://host/x.*expected a path or a URI such as s3://"):
        files_of(data_of("ftp://host/x"))
