"""A run is found by its directory or its name, and its configuration read back."""

from pathlib import Path

import pytest

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.loading import load_config
from raykd.stored import CONFIG, find_run, stored_config


def test_a_run_is_found_by_its_directory_and_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory.at(str(tmp_path), "mine")
    run.write_bytes(CONFIG, load_config("digits").model_dump_json().encode())
    assert find_run("mine", str(tmp_path)).root == find_run(f"{tmp_path}/mine/").root == run.root
    monkeypatch.chdir(tmp_path)
    assert find_run("mine").root == run.root
    assert stored_config(run, ["seed=5"]).seed == 5


@pytest.mark.parametrize(
    ("place", "looked"), [("mine", "DIR/mine or DIR/runs/mine"), ("/nowhere", "/nowhere"), ("file:///no", "file:///no")]
)
def test_where_it_was_looked_for_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, looked: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as found:
        find_run(place, f"{tmp_path}/runs")
    assert f"{place}: found no config.yaml in {looked.replace('DIR', str(tmp_path))}, expected" in str(found.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"\xff\xfe", "not a text file"), (b"a: [b", "not valid YAML"), (b"- 1", "found list"), (b"", "found NoneType")],
)
def test_a_damaged_configuration_is_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    run = RunDirectory.at(str(tmp_path), "mine")
    run.write_bytes(CONFIG, content)
    with pytest.raises(InputError, match=problem) as found:
        stored_config(run)
    assert str(found.value).startswith(f"{tmp_path}/mine/{CONFIG}: ")
    assert len(str(found.value).splitlines()) == 1
