"""The run that a command names."""

from pathlib import Path

import pytest

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.export.source import open_run
from raykd.loading import load_config


def _write(run: RunDirectory, *overrides: str) -> None:
    run.write_bytes("config.yaml", load_config("digits", overrides).model_dump_json().encode())


def test_directory_name_and_configuration_name_the_same_run(tmp_path: Path) -> None:
    run = RunDirectory.at(str(tmp_path), "digits-b")
    _write(run, "name=digits-b")
    by_path, by_name = open_run(run.root, None), open_run("digits-b", str(tmp_path))
    assert by_path[0] == by_name[0]
    assert by_path[1].root == by_name[1].root == run.root
    config, packaged = open_run("digits", str(tmp_path))
    assert packaged.root == str(tmp_path / "digits")
    assert config.name == "digits"


def test_no_run_there_names_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"nothing: found no config.yaml in .*/nothing or {tmp_path}/nothing"):
        open_run("nothing", str(tmp_path))


def test_functions_of_a_run_directory_are_not_imported(tmp_path: Path) -> None:
    run = RunDirectory.at(str(tmp_path), "own")
    _write(run, "student.model={type: 'os:system', options: {}}")
    with pytest.raises(InputError, match=r"student.model.type: found os:system, but functions are imported only from"):
        open_run(run.root, None)
