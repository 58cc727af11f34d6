"""One writer per run directory: the second is refused, a dead one's lease is taken over."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from raykd import lease as leases
from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.lease import LEASE, STALE_SECONDS, Holder, Lease

HOLD = """
import sys, time
from raykd.artifacts import RunDirectory
from raykd.lease import Lease
with Lease(RunDirectory(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def _holding_process(run: RunDirectory) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD, run.root], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_writer_is_refused_and_a_killed_one_replaced_at_once(run_directory: RunDirectory) -> None:
    process = _holding_process(run_directory)
    try:
        with pytest.raises(
            InputError, match=rf"{run_directory.root}: another run writes here \(process {process.pid} "
        ):
            Lease(run_directory).__enter__()
        assert run_directory.read_json(LEASE)["pid"] == process.pid
    finally:
        process.kill()
        process.wait()
    with Lease(run_directory):
        pass
    assert not run_directory.exists(LEASE)


def test_the_command_refuses_with_exit_code_2_and_writes_nothing(tmp_path: Path) -> None:
    process = _holding_process(RunDirectory.at(str(tmp_path), "digits"))
    try:
        raykd = str(Path(sys.executable).with_name("raykd"))
        command = [raykd, "run", "digits", "--storage-path", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    finally:
        process.kill()
        process.wait()
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "another run writes here" in line
    assert "--name" in line
    assert [path.name for path in (tmp_path / "digits").iterdir()] == [LEASE]


def test_a_holder_elsewhere_is_alive_while_it_renews() -> None:
    here = Holder.this_process()
    elsewhere = replace(here, host="elsewhere")
    assert elsewhere.alive(here.host, elsewhere.renewed + STALE_SECONDS - 1)
    assert not elsewhere.alive(here.host, elsewhere.renewed + STALE_SECONDS + 1)


def test_another_process_with_the_same_number_is_not_the_holder() -> None:
    here = Holder.this_process()
    assert here.alive(here.host, here.renewed)
    assert not replace(here, process_started=here.process_started - 100).alive(here.host, here.renewed)


def test_holder_renews_and_notices_that_it_was_replaced(
    run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_RENEW_SECONDS", 0.05)
    with Lease(run_directory) as lease:
        first = run_directory.read_json(LEASE)
        _wait_until(lambda: run_directory.read_json(LEASE)["renewed"] > first["renewed"])
        lease.check()
        other = replace(Holder.this_process(), host="elsewhere")
        _wait_until(lambda: _replaced(run_directory, lease, other))
    assert run_directory.read_json(LEASE)["host"] == "elsewhere"


def test_a_file_server_that_is_away_is_waited_for(run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_RENEW_SECONDS", 0.05)
    with Lease(run_directory) as lease:
        failures = []

        def fail(run: RunDirectory, path: str, value: object) -> None:
            failures.append(path)
            raise OSError("stale file handle")

        with monkeypatch.context() as away:
            away.setattr(RunDirectory, "write_json", fail)
            _wait_until(lambda: len(failures) > 2)
            lease.check()
            away.setattr(leases, "STALE_SECONDS", 0.0)
            with pytest.raises(OSError, match="stale file handle"):
                lease.check()
        first = run_directory.read_json(LEASE)
        _wait_until(lambda: run_directory.read_json(LEASE)["renewed"] > first["renewed"])
        lease.check()


def _replaced(run: RunDirectory, lease: Lease, other: Holder) -> bool:
    run.write_json(LEASE, asdict(other))  # Again and again: a renewal may be just under way.
    try:
        lease.check()
    except InputError:
        return True
    return False


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_cluster_knows_the_writer_even_without_the_file(
    local_ray: None, run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_NAME_SECONDS", 0.0)
    with Lease(run_directory) as first:
        first.claim_name()
        run_directory.delete(LEASE)
        with Lease(run_directory) as second, pytest.raises(InputError, match="another run writes here"):
            second.claim_name()
    monkeypatch.undo()
    with Lease(run_directory) as third:
        third.claim_name()  # The name went with the first lease.
