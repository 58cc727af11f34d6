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
    file = tmp_path / "mine.yaml"
    file.write_text("".join(run.read_bytes("config.yaml").decode()))
    by_file = open_run(str(file), str(tmp_path))
    assert (by_file[0].name, by_file[1].root) == ("digits-b", run.root)


def test_a_run_is_read_with_its_own_settings(tmp_path: Path) -> None:
    run = RunDirectory.at(str(tmp_path), "digits")
    _write(run, "student.model.hidden=[32]", "seed=5")
    assert open_run("digits", str(tmp_path))[0].seed == 5
    file = tmp_path / "digits.yaml"
    file.write_text(load_config("digits", ["export.formats=[onnx]", "scaling.lanes=1"]).model_dump_json())
    with pytest.raises(InputError, match=rf"digits\.yaml: differs in seed, student from what {run.root} was last run"):
        open_run(str(file), str(tmp_path))
    _write(run)
    assert open_run(str(file), str(tmp_path))[0].export.formats == ["onnx"]


def test_no_run_there_names_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"nothing: found no config.yaml in .*/nothing or {tmp_path}/nothing"):
        open_run("nothing", str(tmp_path))


def test_functions_of_a_run_directory_are_not_imported(tmp_path: Path) -> None:
    run = RunDirectory.at(str(tmp_path), "own")
    _write(run, "student.model={type: 'os:system', options: {}}")
    with pytest.raises(InputError, match=r"student.model.type: found os:system, but functions are imported only from"):
        open_run(run.root, None)
