import pytest
from pyarrow import fs

from raykd.artifacts import RunDirectory, fingerprint
from raykd.errors import InputError


@pytest.fixture
def run(tmp_path):
    return RunDirectory.at(str(tmp_path), "run")


def test_a_run_directory_stands_under_its_storage_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for storage_path in (str(tmp_path / "results"), f"{tmp_path}/results/", "~/results", "results"):
        assert RunDirectory.at(storage_path, "run").path("a", "b") == f"{tmp_path}/results/run/a/b"


def test_a_uri_is_the_same_folder_as_its_path(tmp_path):
    by_uri = RunDirectory.at(f"file://{tmp_path}/results", "run")
    by_uri.prepare()
    by_uri.write_json("a/b.json", {"x": 1})
    assert isinstance(by_uri.filesystem, fs.LocalFileSystem)
    assert RunDirectory.at(str(tmp_path / "results"), "run").read_json("a/b.json") == {"x": 1}


def test_prepare_creates_the_folder_and_leaves_nothing_in_it(run, tmp_path):
    run.prepare()
    run.prepare()
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("prefix", ["", "file://"])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_an_unwritable_storage_path_is_named(tmp_path, prefix, below):
    (tmp_path / "taken").write_text("a file where the folder should be")
    storage_path = f"{prefix}{tmp_path}/taken{below}"
    with pytest.raises(InputError) as caught:
        RunDirectory.at(storage_path, "run").prepare()
    message = str(caught.value)
    assert message.startswith(f"storage_path {storage_path}/run: can't be written (Not a directory)")
    assert "--storage-path" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("storage_path", ["nowhere://bucket/folder", "file:///a b"])
def test_a_uri_that_cannot_be_read_is_named(storage_path):
    with pytest.raises(InputError) as caught:
        RunDirectory.at(storage_path, "run").prepare()
    message = str(caught.value)
    assert message.startswith(f"storage_path {storage_path}/run: ")
    assert "expected a local folder or a URI such as s3://bucket/folder" in message
    assert len(message.splitlines()) == 1


def test_a_damaged_json_file_is_told_with_what_to_delete(run):
    run.write_bytes("lonely.json", b'{"a"')
    with pytest.raises(InputError, match=r"/run/lonely\.json: found no JSON: .*as raykd wrote it; restore it$"):
        run.read_json("lonely.json")
    run.begin("teachers/a", "settings")
    run.write_bytes("teachers/a/done.json", b"{}")
    for read in (lambda: run.facts("teachers/a"), lambda: run.is_done("teachers/a", "settings")):
        with pytest.raises(InputError, match=r"done\.json: found no fingerprint.* delete .*/teachers/a and run again"):
            read()


def test_bytes_and_json_come_back(run):
    run.write_bytes("deep/er/file", b"\x00\xff")
    run.write_json("values.json", {"b": [1, 2.5, None], "a": "é"})
    assert run.read_bytes("deep/er/file") == b"\x00\xff"
    assert run.read_json("values.json") == {"b": [1, 2.5, None], "a": "é"}
    with pytest.raises(FileNotFoundError):
        run.read_bytes("missing")


def test_who_reads_while_a_file_is_replaced_sees_the_old_one_whole(run):
    old, new = b"old" * 100_000, b"new" * 200_000
    run.write_bytes("file", old)
    with run.filesystem.open_input_stream(run.path("file")) as reader:
        start = reader.read(10)
        run.write_bytes("file", new)
        assert start + reader.read() == old
    assert run.read_bytes("file") == new


def test_a_write_that_breaks_off_leaves_the_old_file(run):
    run.write_bytes("file", b"old")
    with pytest.raises(TypeError):
        run.write_bytes("file", 7)
    assert run.read_bytes("file") == b"old"


def test_a_finished_write_leaves_no_other_file(run, tmp_path):
    run.write_bytes("folder/file", b"1")
    run.write_bytes("folder/file", b"2")
    assert [path.name for path in (tmp_path / "run/folder").iterdir()] == ["file"]


def test_delete_needs_no_file(run):
    run.write_bytes("file", b"")
    run.delete("file")
    run.delete("file")
    assert not run.exists("file")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (({"a": 1, "b": 2},), ({"b": 2, "a": 1},)),
        (([1, 2],), ((1, 2),)),
        (("x", {"y": [None, 0.1]}), ("x", {"y": [None, 0.1]})),
    ],
)
def test_equal_parts_have_equal_fingerprints(first, second):
    assert fingerprint(*first) == fingerprint(*second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("ab", "c"), ("a", "bc")),
        ((1,), ("1",)),
        ((0,), (None,)),
        (([1, 2],), ([2, 1],)),
        (([1], 2), ([1, 2],)),
        (({"a": 1},), ({"a": 1, "b": None},)),
        ((0.1,), (0.1000001,)),
        ((), (None,)),
    ],
)
def test_different_parts_have_different_fingerprints(first, second):
    assert fingerprint(*first) != fingerprint(*second)


def test_a_fingerprint_is_the_same_on_every_machine():
    # printf '["a",{"b":1,"c":null}]' | sha256sum
    expected = "95e2ad3ba812ba2dfc0a673e919f8b69c8af1dc5b26e0f897cb567441da61410"
    assert fingerprint("a", {"c": None, "b": 1}) == expected


def test_a_step_is_done_once_finished_with_the_same_settings(run):
    assert not run.is_done("step", "s1")
    run.begin("step", "s1")
    assert not run.is_done("step", "s1")
    run.finish("step", "s1", rows=3, seconds=0.5)
    assert run.is_done("step", "s1")
    assert not run.is_done("step", "s2")
    assert not run.is_done("other", "s1")
    assert run.facts("step") == {"fingerprint": "s1", "rows": 3, "seconds": 0.5}


def test_facts_of_an_unfinished_step(run):
    run.begin("step", "s1")
    with pytest.raises(FileNotFoundError):
        run.facts("step")


def test_partial_output_of_the_same_settings_stays(run):
    run.begin("step", "s1")
    run.write_bytes("step/part-0", b"kept")
    run.begin("step", "s1")
    assert run.read_bytes("step/part-0") == b"kept"


@pytest.mark.parametrize("finished", [False, True])
def test_output_of_other_settings_goes(run, finished):
    run.begin("step", "s1")
    run.write_bytes("step/deep/part-0", b"old")
    run.write_bytes("step-2/part-0", b"another step")
    if finished:
        run.finish("step", "s1")
    run.begin("step", "s2")
    assert not run.exists("step/deep")
    assert not run.is_done("step", "s1")
    assert not run.is_done("step", "s2")
    assert run.exists("step-2/part-0")


def test_output_that_no_settings_claim_goes(run):
    run.write_bytes("step/part-0", b"of unknown origin")
    run.begin("step", "s1")
    assert not run.exists("step/part-0")


def test_settings_changed_and_changed_back_start_afresh(run):
    run.begin("step", "s1")
    run.write_bytes("step/part-0", b"s1")
    run.begin("step", "s2")
    run.begin("step", "s1")
    assert not run.exists("step/part-0")
