"""Run directory: what each step leaves behind, on any pyarrow filesystem.

A step's output counts when its `done.json`, written last, names the fingerprint of the settings that
the step depends on. So the same command again does only what is missing, and a changed setting redoes
only what depends on it.
"""

import errno
import hashlib
import json
import os
import platform
import posixpath
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pyarrow import ArrowInvalid, fs

from raykd.errors import InputError
from raykd.retries import retried

_FULL = {errno.ENOSPC, errno.EDQUOT}

MARKER = "done.json"
_CLAIM = "settings.json"  # in a step's folder: of which settings its output is, complete or not
EXAMPLES = "examples"
EVALUATION = "evaluation"
FIGURES = f"{EVALUATION}/figures.json"
TEMPERATURE = "temperature.json"  # in a student's folder: with it, its probabilities are calibrated on validation
SWEEP = "sweep"
PROFILE = "profile"
_WITHOUT_FOLDERS = ("s3", "gcs")  # They have keys alone: a folder would be one more request, and a key of its own.


def teacher_folder(name: str) -> str:
    """Where a teacher is trained, relative to the run directory."""
    return f"teachers/{name}"


def logits_folder(teacher: str) -> str:
    """Where a teacher's logits stand, relative to the run directory."""
    return f"logits/{teacher}"


def predictions_folder(folder: str) -> str:
    """Where the predictions of the model trained in `folder` stand, relative to the run directory."""
    return f"predictions/{folder}"


def external_folder(teacher: str) -> str:
    """Where ingestion puts an external teacher's logits, relative to the run directory; `logits_folder` is a copy."""
    return f"{EXAMPLES}/external/{teacher}"


def fingerprint(*parts: Any) -> str:
    """SHA-256 (hex) of JSON-able parts; equal parts give equal fingerprints on every machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class RunDirectory:
    """A folder on a pyarrow filesystem; paths given to its methods are relative to it.

    Args: root: a local path or a URI such as `s3://bucket/folder`.
    """

    root: str

    @classmethod
    def at(cls, storage_path: str, name: str) -> "RunDirectory":
        """The run directory `<storage_path>/<name>`, `~` and relative local paths resolved.

        What follows `?` in a URI, such as an object store's endpoint, stays at its end.
        """
        if "://" not in storage_path:
            return cls(f"{Path(storage_path).expanduser().absolute()}/{name}")
        place, mark, options = storage_path.partition("?")
        return cls(f"{place.rstrip('/')}/{name}{mark}{options}")

    def __reduce__(self) -> tuple[type["RunDirectory"], tuple[str]]:
        # Each process opens the filesystem for itself: no connection or credential travels.
        return RunDirectory, (self.root,)

    @classmethod
    def opened(cls, path: str) -> "RunDirectory":
        """The directory at a path or URI, `~` and relative local paths resolved."""
        return cls(path.rstrip("/") if "://" in path else str(Path(path).expanduser().absolute()))

    @cached_property
    def _location(self) -> tuple[fs.FileSystem, str]:
        try:
            if "://" in self.root:
                filesystem, path = fs.FileSystem.from_uri(_in_one_request(self.root))
                return filesystem, path
        except (ArrowInvalid, OSError) as error:
            raise InputError(
                f"storage_path {self.root}: {error}; expected a local folder or a URI such as s3://bucket/folder"
            ) from error
        return fs.LocalFileSystem(), self.root

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, or of a file system mounted here."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def filesystem(self) -> fs.FileSystem:
        """The filesystem that holds the run directory."""
        return self._location[0]

    def path(self, *parts: str) -> str:
        """Path of an entry on `filesystem`."""
        return posixpath.join(self._location[1], *parts)

    def prepare(self) -> None:
        """Create the folder and prove that it can be written.

        Raises: InputError when it can't.
        """
        probe = f".write-test-{uuid.uuid4().hex}"
        try:
            self.write_bytes(probe, b"")
            self.delete(probe)
        except OSError as error:
            raise InputError(
                f"storage_path {self.root}: can't be written ({_reason(error)}); "
                "choose another with --storage-path or grant write permission"
            ) from error

    def exists(self, relative: str) -> bool:
        """Whether a file or folder is there."""
        path = self.path(relative)
        found: bool = retried(lambda: self.filesystem.get_file_info(path).type != fs.FileType.NotFound)
        return found

    def read_bytes(self, relative: str) -> bytes:
        """A file's content. Raises: FileNotFoundError."""
        return retried(lambda: self._read(self.path(relative)))

    def _read(self, path: str) -> bytes:
        with self.filesystem.open_input_stream(path) as stream:
            content: bytes = stream.read()
        return content

    def write_bytes(self, relative: str, content: bytes) -> None:
        """Publish a file at once: a reader sees the old one, or the new one, whole.

        Raises: InputError when the disk is full, OSError for anything else.
        """
        try:
            retried(lambda: self._write(self.path(relative), content))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise InputError(
                f"storage_path {self.root}: can't write {relative} ({os.strerror(error.errno)}), expected room for "
                f"{len(content):,} bytes; free some or choose another with --storage-path; the same command goes on "
                "from here"
            ) from error

    def _write(self, target: str, content: bytes) -> None:
        if self.filesystem.type_name not in _WITHOUT_FOLDERS:
            self.filesystem.create_dir(posixpath.dirname(target), recursive=True)
        # Object stores publish when the stream closes; a local file needs the rename.
        written = f"{target}.part-{platform.node()}-{os.getpid()}" if self.is_local else target
        with self.filesystem.open_output_stream(written) as stream:
            stream.write(content)
        if self.is_local:
            self.filesystem.move(written, target)

    def read_json(self, relative: str) -> Any:
        """A JSON file's value. Raises: FileNotFoundError, InputError for a damaged file."""
        content = self.read_bytes(relative)
        try:
            return json.loads(content)
        except ValueError as error:
            raise self.damaged(relative, f"no JSON: {error}") from error

    def damaged(self, relative: str, found: str) -> InputError:
        """The error for a file that isn't as it was written. Args: found: what is wrong with it."""
        folders = relative.split("/")[:-1]
        places = ("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
        step = next((place for place in places if self.exists(f"{place}/{_CLAIM}")), None)
        remedy = "restore it" if step is None else f"restore it, or delete {self.path(step)} and run again"
        return InputError(f"{self.path(relative)}: found {found}, expected the file as raykd wrote it; {remedy}")

    def write_json(self, relative: str, value: Any) -> None:
        """Publish a value as JSON."""
        self.write_bytes(relative, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())

    def delete(self, relative: str) -> None:
        """Delete a file if it is there."""
        if self.exists(relative):
            retried(lambda: self.filesystem.delete_file(self.path(relative)))

    def delete_folder(self, relative: str) -> None:
        """Delete a folder and what is in it, if it is there."""
        if self.exists(relative):
            retried(lambda: self.filesystem.delete_dir(self.path(relative)))

    def names(self, relative: str, ending: str) -> list[str]:
        """Names of the files in a folder that end so, sorted; none where there is no such folder."""
        folder = fs.FileSelector(self.path(relative), allow_not_found=True)
        found = retried(lambda: self.filesystem.get_file_info(folder))
        return sorted(entry.base_name for entry in found if entry.base_name.endswith(ending))

    def is_done(self, step: str, expected: str) -> bool:
        """Whether the step finished with these settings."""
        marker = f"{step}/{MARKER}"
        return self.exists(marker) and bool(self.facts(step)["fingerprint"] == expected)

    def begin(self, step: str, expected: str) -> None:
        """Make room for a step: output of other settings goes, partial output of the same settings stays."""
        claim = f"{step}/{_CLAIM}"
        if self.exists(claim) and self.read_json(claim)["fingerprint"] == expected:
            return
        if self.exists(step):
            # The marks first: what is left by an interrupted deletion must not pass for output.
            self.delete(f"{step}/{MARKER}")
            self.delete(claim)
            self.delete_folder(step)
        self.write_json(claim, {"fingerprint": expected})

    def finish(self, step: str, expected: str, made_of: Mapping[str, str] | None = None, **facts: Any) -> None:
        """Mark the step done; `facts` (times, counts) stand in the marker, and what `check_current` asks for.

        Args: made_of: fingerprints of the steps that it depends on, by name.
        """
        known = {"made_of": dict(made_of)} if made_of else {}
        self.write_json(f"{step}/{MARKER}", {"fingerprint": expected, **known, **facts})

    def check_current(self, *steps: str) -> None:
        """See that these finished steps stand beside what they were made of, in this directory's present state.

        Steps done by earlier versions don't tell, nor do folders that were deleted.
        Raises: InputError where a step that one of them depends on was begun anew since, with other data or settings.
        """
        for step in steps:
            made_of = self.facts(step).get("made_of", {}) if self.exists(f"{step}/{MARKER}") else {}
            for other, expected in made_of.items():
                claim = f"{other}/{_CLAIM}"
                if self.exists(claim) and self.read_json(claim)["fingerprint"] != expected:
                    raise InputError(
                        f"{self.path(step)}: was made of other data or settings than {other} in the same directory has "
                        "now, which was begun anew; let `raykd run` finish what it began"
                    )

    def facts(self, step: str) -> dict[str, Any]:
        """What `finish` was told. Raises: FileNotFoundError when the step isn't done, InputError as `read_json`."""
        facts = self.read_json(f"{step}/{MARKER}")
        if not isinstance(facts, dict) or "fingerprint" not in facts:
            raise self.damaged(f"{step}/{MARKER}", "no fingerprint")
        return facts


def _in_one_request(uri: str) -> str:
    """The URI with which a small file goes to S3 in one request in place of three."""
    option = "allow_delayed_open"
    if not uri.startswith("s3://") or option in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{option}=true"


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
