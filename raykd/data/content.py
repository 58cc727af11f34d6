"""What changes when local files do: of few bytes their content, of many the time at which they were written.

Readers: the fingerprints of sources and presets. A job's working directory is unpacked anew with every submission, and
Ray takes no larger one than what is hashed here: what comes with it stays the same.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HASHED_BYTES = 512 << 20  # of all files together


def content_of(files: Mapping[str, Path]) -> list[Any]:
    """What changes when one of these files does. Args: files: by the name under which each counts, in order."""
    stats = {name: path.stat() for name, path in files.items()}
    if sum(stat.st_size for stat in stats.values()) > HASHED_BYTES:
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()]
    return [[name, stats[name].st_size, _digest(path)] for name, path in files.items()]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
