"""Images in a folder per class, by path and in a column."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from reading import data_of, read, set_aside

from raykd.artifacts import RunDirectory
from raykd.config import Columns, ImageConfig
from raykd.data.ingest import ingest
from raykd.data.sources.images import decode
from raykd.errors import InputError

GREY = ImageConfig(height=2, width=2)
RGB = ImageConfig(height=2, width=2, channels=3)
NONE = Columns()


def _image(value: Any, size: tuple[int, int] = (2, 2)) -> Image.Image:
    return Image.new("L" if isinstance(value, int) else "RGB", size, value)


def _encoded(value: Any) -> bytes:
    buffer = io.BytesIO()
    _image(value).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_folder_per_class(tmp_path: Path) -> None:
    for name, value in (("cat/1", 10), ("cat/2", 20), ("dog/1", 30)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        _image(value).save(tmp_path / f"{name}.png")
    rows = read(data_of(tmp_path, NONE, image=GREY), tmp_path / "aside")
    assert rows == [
        {"example_id": row, "features": [value] * 4, "label": label}
        for row, (value, label) in enumerate([(10, "cat"), (20, "cat"), (30, "dog")])
    ]


def test_channels_stand_side_by_side_and_rows_one_after_the_other(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "1.png")
    [row] = read(data_of(tmp_path, NONE, image=RGB), tmp_path / "aside")
    assert row["features"] == list(range(12))


def test_images_are_resized_and_turned_grey(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    _image((255, 0, 0), (8, 5)).save(tmp_path / "a" / "1.bmp")
    [row] = read(data_of(tmp_path, NONE, image=GREY), tmp_path / "aside")
    assert row["features"] == [76] * 4  # ITU-R 601: 0.299 * 255.


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_and_the_ground_is_white(channels: int) -> None:
    config = ImageConfig(height=1, width=2, channels=channels)
    deep = io.BytesIO()
    Image.fromarray(np.array([[257, 65535]], np.uint16)).save(deep, "PNG")
    assert list(decode(deep.getvalue(), config)) == [1] * channels + [255] * channels
    clear = io.BytesIO()
    Image.fromarray(np.array([[[0, 0, 0, 255], [0, 0, 0, 0]]], np.uint8)).save(clear, "PNG")
    assert list(decode(clear.getvalue(), config)) == [0] * channels + [255] * channels
    unknown = io.BytesIO()
    Image.fromarray(np.array([[0.5, 1e6]], np.float32)).save(unknown, "TIFF")
    assert "pixels of mode F have no known range" in str(decode(unknown.getvalue(), config))


def test_paths_bytes_and_both_in_a_column(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    _image(7).save(tmp_path / "files" / "7.png")
    columns = Columns(image="picture")
    (tmp_path / "rows.csv").write_text(f"picture,label\nfiles/7.png,0\n{tmp_path}/files/7.png,1\n")
    encoded = pa.table({"picture": [_encoded(8)], "label": [1]})
    pq.write_table(encoded, tmp_path / "bytes.parquet")
    structs = [{"bytes": _encoded(9), "path": None}, {"bytes": None, "path": "files/7.png"}]
    pq.write_table(pa.table({"picture": structs, "label": [0, 1]}), tmp_path / "structs.parquet")
    found = {
        name: [row["features"][0] for row in read(data_of(tmp_path / name, columns, image=GREY), tmp_path / "aside")]
        for name in ("rows.csv", "bytes.parquet", "structs.parquet")
    }
    assert found == {"rows.csv": [7, 7], "bytes.parquet": [8], "structs.parquet": [9, 7]}


def test_images_that_are_not_there_are_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("picture,label\nabsent.png,0\n,1\n")
    assert read(data_of(tmp_path / "rows.csv", Columns(image="picture"), image=GREY), tmp_path / "aside") == []
    [(first, absent), (second, null)] = set_aside(tmp_path / "aside")
    assert (first, second) == (0, 1)
    assert absent.startswith("column picture: can't be read (")
    assert null == "column picture: found null, expected an image; fix the row"


def test_an_image_outside_of_a_class_is_refused(tmp_path: Path) -> None:
    _image(1).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"1\.png: found an image 0 folders below the source, expected 1, named by"):
        read(data_of(tmp_path, NONE), tmp_path / "aside")
    assert len(read(data_of(tmp_path, NONE), tmp_path / "aside", labelled=False)) == 1


def test_coloured_images_become_examples_of_named_classes(
    local_ray: None, tmp_path: Path, run_directory: RunDirectory
) -> None:
    for split, rows in (("train", 12), ("test", 8)):
        for number in range(rows):
            folder = tmp_path / "images" / split / ("red", "blue")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            _image((200, number, 0) if number % 2 == 0 else (0, number, 200)).save(folder / f"{number:02d}.png")
    manifest = ingest(run_directory, data_of(tmp_path / "images", NONE, image=RGB, streams=2), seed=0, tasks=1)
    assert manifest.class_names == ("blue", "red")
    assert (manifest.inputs.kind, manifest.inputs.length, manifest.inputs.dtype) == ("features", 12, "uint8")
    assert (manifest.inputs.channels, manifest.inputs.side) == (3, 2)
    assert {split: manifest.rows(split) for split in ("train", "validation", "test")} == {
        "train": 11, "validation": 1, "test": 8,
    }  # fmt: skip
