"""Files of a source: what a path, a glob, a folder or a URI names, on any pyarrow filesystem, and of which split."""

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import ArrowInvalid, fs

from raykd.config import DataConfig
from raykd.data.shards import SPLITS
from raykd.errors import InputError

_ENDINGS = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".tsv"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "tfrecord": (".tfrecord", ".tfrecords"),
    "images": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
}
_SHARD = re.compile(r"-\d{5}-of-\d{5}(?=$|\.)")  # as in train.tfrecord-00000-of-00010
_STEM = re.compile(rf"({'|'.join(SPLITS)})(-\d.*)?")  # as in train.parquet and train-00000-of-00010.parquet
_GLOB = re.compile(r"(\*\*/|\*|\?)")
_GLOB_PARTS = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Args: path: on the source's filesystem; relative: to the source's folder; size: bytes; modified: ns since 1970, 0
    where unknown; split: "" where its name tells none.
    """

    path: str
    relative: str
    size: int
    modified: int
    split: str = ""


def filesystem_of(source: str) -> fs.FileSystem:
    """The filesystem of a path, glob or URI. Raises: InputError."""
    return _located(source)[0]


def files_of(data: DataConfig) -> tuple[str, list[SourceFile]]:
    """The format of the source's files, and the files in the order of their paths.

    Raises: InputError when there are none, they can't be read or listed, or their format can't be told.
    """
    source = data.source
    filesystem, path, pattern = _located(source)
    try:
        entries = _entries(filesystem, path, pattern, data.format)
    except OSError as error:
        raise InputError(
            f"data.source: {source}: can't be listed ({' '.join(str(error).split())}); "
            "check the address, the credentials and the network"
        ) from error
    if entries is None:
        raise InputError(
            f"data.source: {source}: no such file or folder; expected docsqa, digits, or a file, a folder, a glob or a "
            "URI such as s3://bucket/folder"
        )
    kind, chosen = _of_format(source, entries, data.format)
    files = sorted((_file(entry, relative, kind) for entry, relative in chosen), key=lambda file: file.relative)
    local = isinstance(filesystem, fs.LocalFileSystem)
    if local and (closed := next((file.path for file in files if not os.access(file.path, os.R_OK)), None)):
        raise InputError(f"data.source: {source}: {closed} is not readable; grant read permission")
    if len({bool(file.split) for file in files}) > 1:
        form = "<split>/<class>/<image>" if kind == "images" else f"<split>.{kind}"
        raise InputError(
            f"data.source: {source}: some files are named by split and some are not; "
            f"name all of them {form} ({', '.join(SPLITS)}) or none"
        )
    return kind, files


def _located(source: str) -> tuple[fs.FileSystem, str, str | None]:
    """Filesystem, path on it, and what of a glob follows that path."""
    remote = "://" in source
    base, mark, query = source.partition("?") if remote else (source, "", "")
    pattern = None
    if "*" in base:
        folder, _, _ = base[: base.index("*")].rpartition("/")
        pattern = base[len(folder) :].lstrip("/")
        base = folder or ("/" if base.startswith("/") else ".")
    if not remote:
        return fs.LocalFileSystem(), str(Path(base).expanduser().absolute()), pattern
    try:
        filesystem, path = fs.FileSystem.from_uri(f"{base}{mark}{query}")
    except (ArrowInvalid, OSError) as error:
        raise InputError(
            f"data.source: {source}: {' '.join(str(error).split())}; expected a path or a URI such as s3://bucket/folder"
        ) from error
    return filesystem, path, pattern


Entry = tuple[fs.FileInfo, str]
"""A file and its path relative to the source's folder."""


def _entries(filesystem: fs.FileSystem, path: str, pattern: str | None, wanted: str) -> list[Entry] | None:
    """The files that the source names; None where nothing is there."""
    found = filesystem.get_file_info(path)
    if found.type == fs.FileType.NotFound:
        return None
    if found.type == fs.FileType.File:
        return [(found, found.base_name)]
    if pattern is not None:
        parts = (_GLOB_PARTS.get(part, re.escape(part)) for part in _GLOB.split(pattern))
        matches = re.compile("".join(parts)).fullmatch
        below = _below(filesystem, path, recursive="/" in pattern)
        return [(entry, relative) for entry, relative in below if matches(relative)] or None
    direct = _below(filesystem, path, recursive=False)
    splits = [split for split in SPLITS if wanted != "images" and filesystem.get_file_info(f"{path}/{split}").type == 3]
    by_split = [
        (entry, f"{split}/{name}")
        for split in splits
        for entry, name in _below(filesystem, f"{path}/{split}", recursive=False)
    ]
    tables = [*direct, *by_split]
    if wanted != "images" and any(_format_named(name) not in (None, "images") for _, name in tables):
        return tables
    return _below(filesystem, path, recursive=True)


def _below(filesystem: fs.FileSystem, path: str, recursive: bool) -> list[Entry]:
    """Files in a folder, those that are hidden (.name, _name) left out."""
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=recursive))
    files = [(entry, posixpath.relpath(entry.path, path)) for entry in found if entry.type == fs.FileType.File]
    return [
        (entry, relative)
        for entry, relative in files
        if not any(part.startswith((".", "_")) for part in relative.split("/"))
    ]


def _of_format(source: str, entries: Sequence[Entry], wanted: str) -> tuple[str, Sequence[Entry]]:
    """The format asked for or told by the endings, and the files that have it."""
    formats = [_format_named(relative) for _, relative in entries]
    known = sorted({name for name in formats if name is not None})
    if wanted == "auto":
        if len(known) != 1:
            found = f"files of {' and '.join(known)}" if known else "no file with an ending that tells its format"
            raise InputError(
                f"data.source: {source}: found {found}; expected one of {', '.join(_ENDINGS)}; name the files with a "
                "glob or set data.format"
            )
        wanted = known[0]
    # Files asked for by format may have any ending; where some fit, the others are something else.
    return wanted, [
        entry for entry, name in zip(entries, formats, strict=True) if name == wanted or wanted not in known
    ]


def _format_named(name: str) -> str | None:
    name = _SHARD.sub("", name.lower()).removesuffix(".gz")
    return next((kind for kind, endings in _ENDINGS.items() if name.endswith(endings)), None)


def _file(entry: fs.FileInfo, relative: str, kind: str) -> SourceFile:
    return SourceFile(entry.path, relative, entry.size or 0, entry.mtime_ns or 0, _split_named(relative, kind))


def _split_named(relative: str, kind: str) -> str:
    """The split that a file's folder tells, or the own name of a file of many rows."""
    *folders, name = relative.split("/")
    if folders and folders[0] in SPLITS:
        return folders[0]
    if kind == "images":
        return ""
    found = _STEM.fullmatch(_SHARD.sub("", name).partition(".")[0])
    return found.group(1) if found else ""
