"""All benchmarks: which commands there are, and that one that fails doesn't keep the others."""

import json
from pathlib import Path

import pytest

from raykd.bench.cli import app
from raykd.bench.suite import commands, measure_all


def test_every_benchmark_is_among_them() -> None:
    chosen = commands("quickstart", ["data.bucket=16"], "quickstart", "/runs")
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert {one[0] for one in chosen} == known - {"all"}
    assert ("scoring", "quickstart", "--set", "data.bucket=16") in chosen
    assert ("predict", "quickstart", "--storage-path", "/runs") in chosen
    assert "predict" not in {one[0] for one in commands("quickstart", [], None, None)}


@pytest.mark.slow
def test_what_fails_is_named_and_the_rest_measured(tmp_path: Path) -> None:
    file, shown = tmp_path / "bench.json", []
    wanted = [("predict", str(tmp_path / "none")), ("store", "--rows", "2048", "--repeats", "1")]
    assert measure_all(wanted, file, shown.append) == wanted[:1]
    assert shown == wanted
    assert list(json.loads(file.read_text())) == ["store"]
