"""What the doctor finds, and what it says to do about it."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from raykd import doctor
from raykd.cli import main
from raykd.doctor import Finding, examine, memory, packages, shared_memory, storage

GIB = 1 << 30


def _only(findings: list[Finding], subject: str) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


def test_packages_that_are_missing_old_or_fine() -> None:
    wanted = ["numpy>=1", "pandas<0.1", "no-such-package>=2,<3", "pytest>=999; extra == 'test'"]
    findings = list(packages([Requirement(line) for line in wanted]))
    assert [(finding.subject, finding.ok) for finding in findings] == [
        ("pandas", False), ("no-such-package", False), ("packages", None),
    ]  # fmt: skip
    assert findings[0].remedy == "pip install 'pandas<0.1'"
    assert findings[1].found == "not installed (goes with <3,>=2)"
    assert findings[2].found == "1 as they should be"


def test_versions_that_go_together_are_always_told() -> None:
    findings = list(packages([Requirement("tensorflow>=2.21,<2.22"), Requirement("ray[data]>=1")]))
    assert [(finding.subject, finding.ok) for finding in findings] == [
        ("tensorflow", True), ("ray", True), ("packages", None),
    ]  # fmt: skip


def test_too_little_memory_of_either_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory(3 * GIB).ok
    assert not memory(GIB).ok
    monkeypatch.setattr(doctor, "_LEAST_SHARED_MEMORY", 1 << 62)
    [finding] = shared_memory(str(tmp_path))
    assert (finding.ok, "--shm-size" in finding.remedy) == (False, True)
    assert list(shared_memory(str(tmp_path / "absent"))) == []


def test_a_storage_path_that_can_be_written_and_one_that_cannot(tmp_path: Path) -> None:
    assert storage(str(tmp_path / "new")).ok
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("x")
    finding = storage(str(tmp_path / "file"))
    assert not finding.ok
    assert "--storage-path" in finding.remedy


def test_everything_is_fine_here(local_ray: None, tmp_path: Path) -> None:
    findings = list(examine(str(tmp_path), None))
    assert [finding for finding in findings if finding.ok is False] == []
    assert _only(findings, "Ray here").found.endswith("a task ran")
    assert {"Python", "ray", "tensorflow", "keras", "devices", "memory", "storage path"} <= {
        finding.subject for finding in findings if finding.ok
    }


def test_what_fails_is_told_with_its_remedy_and_exit_code_1(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(sys, "argv", ["raykd", "doctor", "--storage-path", str(tmp_path / "file")])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().out.splitlines()
    assert ended.value.code == 1
    [failed] = [line for line in said if line.startswith("fail")]
    assert failed.startswith(f"fail storage path: storage_path {tmp_path}/file: can't be written (")
    assert failed.count("choose another with --storage-path") == 1
    assert any(line.startswith("ok   Ray here: 1 node(s)") for line in said)


def test_a_cluster_that_cannot_be_reached(local_ray: None, tmp_path: Path) -> None:
    finding = _only(list(examine(str(tmp_path), "127.0.0.1:9")), "Ray cluster 127.0.0.1:9")
    assert not finding.ok
    assert finding.found.startswith("--address 127.0.0.1:9: found no Ray cluster ([Errno 111] Connection refused)")
    assert "see that it runs, that this machine reaches it, and that RAY_AUTH_MODE" in finding.remedy
