"""`raykd serve` as a process of its own: abuse, load, and the page in a browser."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tiny_run import tiny_config, write_run

pytestmark = pytest.mark.slow

_STUDENT = {"type": "cross_encoder", "layers": 1, "width": 16, "dropout": 0.0}
_ROW = {"query": "sum of the array", "passage": "returns the sum of a row"}
_CHROMIUM = shutil.which("chromium")
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    config = tiny_config(str(tmp_path_factory.mktemp("serve")), _STUDENT, model="ensemble/many_on_many")
    return write_run(config, ["ensemble/many_on_many"]).root


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _start(run_path: str, *options: str) -> tuple[subprocess.Popen[bytes], str]:
    port = _free_port()
    command = [str(Path(sys.executable).with_name("raykd")), "serve", run_path, "--port", str(port), *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            if _ask(f"{url}/health")[0] == 200:
                return server, url
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.5)
    server.kill()
    assert server.stdout is not None
    raise AssertionError(server.stdout.read().decode())


def _stop(server: subprocess.Popen[bytes]) -> tuple[int, str]:
    server.send_signal(signal.SIGINT)
    output, _ = server.communicate(timeout=60)
    return server.returncode, output.decode()


@pytest.fixture(scope="module")
def url(run_path: str) -> Iterator[str]:
    server, url = _start(run_path)
    yield url
    code, output = _stop(server)
    assert code == 0
    assert output.strip().splitlines()[1:] == [], output


def _ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, _read(answer)
    except urllib.error.HTTPError as error:
        return error.code, _read(error)


def _read(answer: Any) -> Any:
    text = answer.read().decode()
    return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text


def _post(url: str, body: bytes) -> tuple[int, Any]:
    return _ask(f"{url}/predict", body, Content_Type="application/json")


def _load(url: str, requests: int, clients: int) -> Any:
    script = str(Path(__file__).with_name("load.py"))
    command = [sys.executable, script, f"{url}/predict", str(requests), str(clients), json.dumps(_ROW)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)


def test_answers_are_those_of_the_bundle(url: str, run_path: str) -> None:
    from raykd.export.loader import Bundle

    expected = Bundle(Path(run_path) / "export/ensemble/many_on_many").outputs([_ROW])
    status, found = _post(url, json.dumps(_ROW).encode())
    assert status == 200
    assert found["probabilities"] == pytest.approx(expected["probabilities"][0].tolist(), abs=1e-6)
    assert list(found["parts"]) == ["a", "b"]
    assert found["parts"]["b"] == pytest.approx(expected["parts"][0][1].tolist(), abs=1e-6)
    rows = _post(url, json.dumps({"rows": [_ROW] * 3}).encode())[1]["rows"]
    assert [row["class"] for row in rows] == 3 * [found["class"]]


def test_abuse_gets_the_right_status_and_the_server_stays_healthy(url: str) -> None:
    assert _post(url, b"{oops")[0] == 400
    assert _post(url, b'{"query": "' + b"a" * 10_000_000 + b'"}')[0] == 413
    assert _post(url, b'{"question": "a", "passage": "b"}')[0] == 422
    assert _post(url, json.dumps({"rows": [_ROW] * 257}).encode())[0] == 413
    assert _ask(f"{url}/predict", b"query=a&passage=b")[0] == 415
    assert _ask(f"{url}/predict")[0] == 405
    assert _ask(f"{url}/metrics")[0] == 404
    with ThreadPoolExecutor(200) as clients:
        answers = list(clients.map(lambda _: _post(url, json.dumps(_ROW).encode()), range(200)))
    assert {status for status, _ in answers} == {200}
    assert _ask(f"{url}/health") == (200, {"status": "ok", "run": "tiny", "model": "ensemble/many_on_many"})


def test_no_request_of_5000_fails_and_batching_serves_more(url: str, run_path: str) -> None:
    _load(url, 500, 32)
    together = _load(url, 5000, 64)
    assert together["statuses"] == {"200": 5000}
    server, alone_url = _start(run_path, "--max-batch", "1")
    _load(alone_url, 500, 32)
    alone = _load(alone_url, 1500, 64)
    _stop(server)
    assert alone["statuses"] == {"200": 1500}
    print(f"batched {together}, alone {alone}")
    assert together["requests_per_second"] > alone["requests_per_second"]


def test_listens_on_this_machine_alone(url: str) -> None:
    port = int(url.rpartition(":")[2])
    listening = subprocess.run(["ss", "-ltnH", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[3] for line in listening.splitlines()] == [f"127.0.0.1:{port}"]


def test_port_in_use_is_one_line_and_exit_code_2(url: str, run_path: str) -> None:
    command = [str(Path(sys.executable).with_name("raykd")), "serve", run_path, "--port", url.rpartition(":")[2]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "Address already in use; choose another" in line


@pytest.mark.skipif(_CHROMIUM is None, reason="needs Debian's chromium")
def test_page_shows_probabilities_of_a_typed_pair(url: str, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    said, requested = [], []
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"), executable_path=_CHROMIUM, args=_FLAGS
        )
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(url)
        tab.get_by_label("query").fill(_ROW["query"])
        tab.get_by_label("passage").fill(_ROW["passage"])
        tab.get_by_role("button", name="Predict").click()
        table = tab.locator("#result table")
        table.wait_for()
        header = table.locator("thead").inner_text()
        shown = [row.locator("td").first.inner_text() for row in table.locator("tbody tr").all()]
        tab.get_by_label("passage").fill(" ")
        tab.get_by_role("button", name="Predict").click()
        tab.locator("#error:not(:empty)").wait_for()
        refused = tab.locator("#error").inner_text()
        tab.screenshot(path=os.environ.get("RAYKD_SCREENSHOT", str(tmp_path / "page.png")), full_page=True)
        context.close()
    assert "together" in header
    probabilities = [float(text.removesuffix("%")) for text in shown]
    assert len(probabilities) == 2
    assert probabilities[0] >= probabilities[1]
    assert sum(probabilities) == pytest.approx(100, abs=0.11)
    assert refused == "the row, passage: found an empty text, expected a text that isn't empty"
    assert [line for line in said if "422" not in line] == []
    assert {one.removeprefix(url) for one in requested} == {"/", "/predict"}
