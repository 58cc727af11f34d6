"""Sources on S3: a server of its own process, as pyarrow reaches any other."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs
from reading import data_of, read

from raykd.artifacts import RunDirectory
from raykd.data.shards import read_manifest
from raykd.data.sources import source_fingerprint
from raykd.errors import InputError


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of an empty bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        with pytest.MonkeyPatch.context() as patch:
            settings = {
                "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_EC2_METADATA_DISABLED": "true",
            }  # fmt: skip
            for name, value in settings.items():
                patch.setenv(name, value)
            fs.FileSystem.from_uri("s3://data?allow_bucket_creation=true")[0].create_dir("data")
            yield "s3://data"
    finally:
        server.terminate()
        server.wait(timeout=10)


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the server did not start")


def _put(name: str, content: str) -> None:
    with fs.FileSystem.from_uri("s3://data")[0].open_output_stream(f"data/{name}") as stream:
        stream.write(content.encode())


def test_files_folders_and_globs_on_s3(bucket: str, tmp_path: Path) -> None:
    for name, word in (("rows/train.csv", "train"), ("rows/test.csv", "test"), ("other/a.csv", "other")):
        _put(name, f"query,label\n{word} one,0\n{word} two,1\n")
    folder = read(data_of(f"{bucket}/rows"), tmp_path)
    assert [(row["text_0"], row["split"]) for row in folder] == [
        ("test one", "test"), ("test two", "test"), ("train one", "train"), ("train two", "train"),
    ]  # fmt: skip
    assert [row["text_0"] for row in read(data_of(f"{bucket}/other/a.csv"), tmp_path)] == ["other one", "other two"]
    assert [row["text_0"] for row in read(data_of(f"{bucket}/*/t*n.csv"), tmp_path)] == ["train one", "train two"]
    before = source_fingerprint(data_of(f"{bucket}/rows"))
    assert source_fingerprint(data_of(f"{bucket}/rows")) == before
    time.sleep(1.1)  # S3 tells times in seconds.
    _put("rows/train.csv", "query,label\ntrain one,0\ntrain two,0\n")
    assert source_fingerprint(data_of(f"{bucket}/rows")) != before


def test_what_is_not_there_on_s3(bucket: str) -> None:
    with pytest.raises(InputError, match=r"data\.source: s3://data/absent\.csv: no such file or folder"):
        source_fingerprint(data_of(f"{bucket}/absent.csv"))


INGEST = """
import sys
from raykd.artifacts import RunDirectory
from raykd.cluster import connect
from raykd.config import Columns, DataConfig
from raykd.data.ingest import ingest
bucket = sys.argv[1]
data = DataConfig(source=bucket + "/pairs.jsonl", columns=Columns(text=["query"]), streams=2, vocabulary=200)
with connect(None, verbose=False):
    ingest(RunDirectory.at(bucket + "/runs", "first"), data, seed=0, tasks=1)
"""


@pytest.mark.slow
def test_tasks_read_from_s3_and_write_a_run_there(bucket: str) -> None:
    """A Ray of its own: its workers must know the server's address."""
    _put("pairs.jsonl", "".join(f'{{"query": "word {row}", "label": {row % 2}}}\n' for row in range(40)))
    subprocess.run([sys.executable, "-c", INGEST, bucket], check=True, timeout=400)
    run = RunDirectory.at(f"{bucket}/runs", "first")
    manifest = read_manifest(run)
    assert sum(shard.rows for shard in manifest.shards) == 40
    assert run.exists(f"examples/{manifest.shards[0].name}")
