"""An S3 server on loopback that fails now and then."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request

CODES = {500: "InternalError", 503: "SlowDown"}
BUCKET = "bucket"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "anybody",
    "AWS_SECRET_ACCESS_KEY": "anything",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class S3Server:
    """Serves while `running` lasts.

    Args: every: once it runs, answers every so many-th request with `status` instead; 0: none.
    """

    def __init__(self, every: int = 0, status: int = 503) -> None:
        self.failed: list[str] = []  # methods of the requests that failed
        self._every = every
        self._status = status
        self._requests = 0
        self._fails = False
        self._application = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator["S3Server"]:
        """The server for the length of a `with` block, with an empty bucket; needs `ENVIRONMENT`."""
        server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Quiet)
        self.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            # All servers of a process have one memory.
            urllib.request.urlopen(f"http://{self.address}/moto-api/reset", data=b"").close()
            boto3.client("s3", endpoint_url=f"http://{self.address}").create_bucket(Bucket=BUCKET)
            self._fails = True
            yield self
        finally:
            server.shutdown()
            thread.join()

    def uri(self, folder: str) -> str:
        """A folder's URI, for pyarrow."""
        return f"s3://{BUCKET}/{folder}?scheme=http&endpoint_override={self.address}&region=us-east-1"

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> Any:
        """Answer a request, or fail."""
        with self._lock:
            self._requests += 1
            fails = self._fails and bool(self._every) and self._requests % self._every == 0
        if not fails:
            return self._application(environment, start)
        self.failed.append(environment["REQUEST_METHOD"])
        Request(environment).get_data()  # Else it would stand in the way of the connection's next request.
        start(f"{self._status} {CODES[self._status]}", [("Content-Type", "application/xml")])
        return [f"<Error><Code>{CODES[self._status]}</Code><Message>try again</Message></Error>".encode()]


class _Quiet(WSGIRequestHandler):
    def log_request(self, *args: Any) -> None:
        """Nothing."""
