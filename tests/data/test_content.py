"""Content of files that were unpacked anew, changed, or are too large to be read."""

import os
from pathlib import Path
from typing import Any

import pytest

from raykd.config import DataConfig
from raykd.data import content
from raykd.data.presets import content as content_of_preset
from raykd.data.sources import source_fingerprint


def _written(path: Path, text: str, seconds: int) -> Path:
    path.write_text(text)
    os.utime(path, (seconds, seconds))
    return path


def test_the_same_rows_unpacked_anew_are_the_same(tmp_path: Path) -> None:
    found = []
    for name, text, seconds in (("a", "x,label\n1,0\n", 1), ("b", "x,label\n1,0\n", 2), ("c", "x,label\n1,1\n", 1)):
        (tmp_path / name).mkdir()
        rows = _written(tmp_path / name / "rows.csv", text, seconds)
        found.append((source_fingerprint(DataConfig(source=str(rows))), content_of_preset(str(tmp_path / name))))
    first, again, changed = found
    assert first == again
    assert first[0] != changed[0]
    assert first[1] != changed[1]


def test_of_many_bytes_the_time_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(seconds: int) -> Any:
        return content.content_of({"rows": _written(tmp_path / "rows", "four", seconds)})

    assert found(1) == found(2)
    monkeypatch.setattr(content, "HASHED_BYTES", 3)
    assert found(1) != found(2)
