"""Images: a task reads some of the files, in a folder per class; and images that stand in a column of a table."""

import io
import posixpath
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pyarrow import fs

from raykd.config import DataConfig, ImageConfig
from raykd.data.sources.files import SourceFile
from raykd.data.sources.pieces import Chunk, Piece, Unread, is_text
from raykd.errors import InputError

PIXELS, LABEL = "pixels", "label"
"""Columns of what is read from files of images."""

_FILES = 256  # that a task reads


def pieces(filesystem: fs.FileSystem, files: Sequence[SourceFile], data: DataConfig, labelled: bool) -> list[Piece]:
    """Some files of one split. Raises: InputError for an image outside of a folder named by its class."""
    found: list[Piece] = []
    for split in dict.fromkeys(file.split for file in files):
        own = [(number, file) for number, file in enumerate(files) if file.split == split]
        for start in range(0, len(own), _FILES):
            some = own[start : start + _FILES]
            paths = tuple(file.path for _, file in some)
            labels = tuple(_class_of(file, split) if labelled and split != "unlabelled" else "" for _, file in some)
            found.append(Piece(paths, split, len(found), first_id=some[0][0], labels=labels))
    return found


def chunks(filesystem: fs.FileSystem, piece: Piece, data: DataConfig, labelled: bool) -> Iterator[Chunk]:
    """The images of a piece; an image's row is its number among them."""
    decoded = [decode(_content(filesystem, path), data.image) for path in piece.files]
    rows = np.asarray([row for row, image in enumerate(decoded) if not isinstance(image, str)], np.int64)
    unread = [Unread(row, image) for row, image in enumerate(decoded) if isinstance(image, str)]
    table = {
        PIXELS: as_column([image for image in decoded if not isinstance(image, str)], data.image),
        LABEL: pa.array([piece.labels[row] for row in rows], pa.string()),
    }
    yield Chunk(pa.table(table), rows, unread)


def _class_of(file: SourceFile, split: str) -> str:
    folders = file.relative.split("/")[:-1]
    folders = folders[1:] if split else folders
    if len(folders) != 1:
        raise InputError(
            f"{file.path}: found an image {len(folders)} folders below the {'split' if split else 'source'}, expected "
            "1, named by its class: <class>/image.png or <split>/<class>/image.png; move it"
        )
    return folders[0]


def _content(filesystem: fs.FileSystem, path: str) -> bytes | OSError:
    try:
        with filesystem.open_input_stream(path, compression=None) as stream:
            content: bytes = stream.read()
            return content
    except OSError as error:
        return error


def decode(content: bytes | OSError, config: ImageConfig) -> NDArray[np.uint8] | str:
    """An encoded image as uint8 [height * width * channels], resized; or why it can't be."""
    if isinstance(content, OSError):
        return f"can't be read ({' '.join(str(content).split())}); fix the path or drop the row"
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = _in_bytes(opened).convert("RGB" if config.channels == 3 else "L")
            size = (config.width, config.height)
            resized = image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"not a complete image ({' '.join(str(error).split())}); write it again or drop it"
    return np.asarray(resized, np.uint8).reshape(config.numbers)


def _in_bytes(image: Image.Image) -> Image.Image:
    """An image of bytes on a white ground: 16 bits scaled, what is transparent laid on it.

    Raises: ValueError for pixels whose range is unknown.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known range, expected 8 or 16 bits")
    if not image.has_transparency_data:
        return image
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image.convert("RGBA"))


def as_column(images: Sequence[NDArray[np.uint8]], config: ImageConfig) -> pa.FixedSizeListArray:
    """Images of `decode`, one per row."""
    values = np.concatenate(images) if images else np.zeros(0, np.uint8)
    return pa.FixedSizeListArray.from_arrays(pa.array(values), config.numbers)


def decode_column(
    column: pa.ChunkedArray, config: ImageConfig, filesystem: fs.FileSystem, folder: str
) -> tuple[pa.FixedSizeListArray, dict[int, str]]:
    """Images of a column: encoded, or paths relative to `folder`, or both as Hugging Face writes them.

    Returns: images, black where there is none, and by row why there is none.
    Raises: InputError for another type of column.
    """
    kind = column.type
    names = [kind.field(i).name for i in range(kind.num_fields)] if pa.types.is_struct(kind) else []
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or is_text(kind) or {"bytes"} <= set(names)):
        raise InputError(
            f"found {kind}, expected encoded images (binary), their paths (string) or structs of bytes and path; "
            "convert the column"
        )
    images, wrong = [], dict[int, str]()
    for row, value in enumerate(column.to_pylist()):
        if isinstance(value, dict):
            value = value["bytes"] if value["bytes"] is not None else value.get("path")
        if isinstance(value, str):
            value = _content(filesystem, value if value.startswith("/") else posixpath.join(folder, value))
        image = decode(value, config) if value is not None else "found null, expected an image; fix the row"
        if isinstance(image, str):
            wrong[row] = image
        images.append(np.zeros(config.numbers, np.uint8) if isinstance(image, str) else image)
    return as_column(images, config), wrong
