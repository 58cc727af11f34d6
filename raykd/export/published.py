"""Finished bundles of a run: which formats they hold, and a local copy of one. No TensorFlow. Reader: serving."""

import tempfile
from pathlib import Path

from pyarrow import fs

from raykd.artifacts import EVALUATION, MARKER, RunDirectory
from raykd.export.choice import export_folder
from raykd.export.loader import MANIFEST


def local_bundle(run: RunDirectory, name: str) -> Path:
    """The bundle of this name as a local folder; one on another filesystem is copied to a temporary folder first."""
    path = run.path(export_folder(name))
    if isinstance(run.filesystem, fs.LocalFileSystem):
        return Path(path)
    target = tempfile.mkdtemp(prefix="raykd-export-")
    fs.copy_files(path, target, source_filesystem=run.filesystem, destination_filesystem=fs.LocalFileSystem())
    return Path(target)


def exported_formats(run: RunDirectory, name: str) -> tuple[str, ...]:
    """Formats of the finished bundle of this name that is of the present evaluation; none where there is no such."""
    folder = export_folder(name)
    if not run.exists(f"{folder}/{MARKER}"):
        return ()
    described = run.read_json(f"{folder}/{MANIFEST}")
    return tuple(described["formats"]) if described["evaluation"] == run.facts(EVALUATION)["fingerprint"] else ()
