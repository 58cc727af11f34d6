"""Run directories in an object store: a real S3 server on loopback, also one that fails now and then."""

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import run_small
from s3_server import ENVIRONMENT, S3Server

from raykd.artifacts import RunDirectory
from raykd.errors import InputError
from raykd.lease import LEASE, Lease

# One teacher's training is like the other's, and each takes workers some time to start.
ON_WORKERS = ["scaling.workers=1", "distill.recipes=[plain]", "teachers=[{name: a, model: {type: mlp, hidden: [64]}}]"]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """One that answers every fifth request with an error: 503, or the status that a test asks for; 0: none."""
    status = getattr(request, "param", 503)
    with S3Server(every=5 if status else 0, status=status).running() as running:
        yield running


@pytest.mark.parametrize("server", [0, 500, 503], indirect=True)
def test_a_run_directory_is_the_same_on_a_server_that_fails(server: S3Server) -> None:
    run = RunDirectory.at(server.uri("runs"), "one")
    run.prepare()
    assert not run.exists("examples")
    run.begin("examples", "a")
    for number in range(4):
        run.write_json(f"examples/train/{number}.json", {"number": number})
    run.finish("examples", "a", rows=4)
    assert run.is_done("examples", "a")
    assert run.facts("examples")["rows"] == 4
    assert run.names("examples/train", ".json") == ["0.json", "1.json", "2.json", "3.json"]
    assert [run.read_json(f"examples/train/{number}.json")["number"] for number in range(4)] == [0, 1, 2, 3]
    with pytest.raises(FileNotFoundError):
        run.read_json("examples/absent.json")
    run.begin("examples", "b")
    assert run.names("examples/train", ".json") == []
    assert not run.is_done("examples", "a")
    assert bool(server.failed) == bool(server._every)


def test_large_files_arrive_whole(server: S3Server) -> None:
    content = os.urandom(12 << 20)  # more than one part of an upload
    run = RunDirectory.at(server.uri("runs"), "large")
    run.write_bytes("weights.npz", content)
    assert run.read_bytes("weights.npz") == content


def test_the_lease_holds_in_a_bucket(server: S3Server) -> None:
    run = RunDirectory.at(server.uri("runs"), "held")
    with Lease(run):
        assert run.exists(LEASE)
        with pytest.raises(InputError, match="another run writes here"):
            Lease(run).__enter__()
    assert not run.exists(LEASE)


def test_a_bucket_that_is_not_there_is_one_line() -> None:
    with S3Server().running() as running:
        run = RunDirectory.at(running.uri("runs").replace("s3://bucket/", "s3://absent/"), "one")
        with pytest.raises(InputError, match=r"storage_path s3://absent/runs/one.*can't be written .*--storage-path"):
            run.prepare()


def test_options_stay_at_the_end_and_no_credential_travels() -> None:
    run = RunDirectory.at("s3://key:secret@bucket/runs/?region=x&scheme=http", "one")
    assert run.root == "s3://key:secret@bucket/runs/one?region=x&scheme=http"
    assert run.path("a", "b") == "bucket/runs/one/a/b"
    assert pickle.loads(pickle.dumps(run)) == run
    assert len(pickle.dumps(run)) < 200


def test_a_gcs_uri_is_a_google_file_system() -> None:
    run = RunDirectory.at("gs://anonymous@bucket/runs?retry_limit_seconds=1", "one")
    assert run.filesystem.type_name == "gcs"
    assert run.path("a") == "bucket/runs/one/a"


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [[], ON_WORKERS], ids=["lanes", "workers"])
def test_the_whole_job_runs_on_a_server_that_fails(small_run: Path, overrides: list[str]) -> None:
    with S3Server(every=20).running() as running:
        run_small(running.uri("runs"), overrides)
        found = RunDirectory.at(running.uri("runs"), "small").read_json("evaluation.json")
        assert len(running.failed) > 10
    expected = {model["name"]: model for model in json.loads((small_run / "evaluation.json").read_text())["models"]}
    # An ensemble of one teacher isn't that of two.
    models = {model["name"]: model for model in found["models"] if not overrides or model["kind"] != "teacher_ensemble"}
    assert {"teacher/a", "student/plain"} <= models.keys()
    for name, model in models.items():
        other = expected[name]
        assert model["accuracy"] == other["accuracy"]
        assert model["nll"] == pytest.approx(other["nll"], abs=1e-6)
