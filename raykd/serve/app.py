"""The Ray Serve application: HTTP in front, requests of many clients predicted together.

Reader: Serve's replicas, which import this module. The exported model is loaded by the bundle's own loader.
"""

import asyncio
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from raykd.artifacts import RunDirectory
from raykd.export.loader import Bundle
from raykd.export.published import local_bundle
from raykd.serve.page import PAGE_HEADERS, page
from raykd.serve.settings import Settings
from raykd.serve.wire import RequestError, answer, check_finite, parse

_MOST_AT_A_TIME = 256  # rows of one call into the model, so that there are few shapes
_MOST_READ = 64 << 20  # bytes of a body that is too large


class Predictor:
    """Answers requests. Args: name: of the exported model of the run."""

    def __init__(self, run: RunDirectory, name: str, settings: Settings) -> None:
        self._settings = settings
        self._bundle = Bundle(local_bundle(run, name), "saved_model", settings.threads)
        self._page = page(self._bundle.manifest)
        self._predict.set_max_batch_size(settings.max_batch)
        self._predict.set_batch_wait_timeout_s(settings.wait_ms / 1000)
        self._outputs([_blank(self._bundle.manifest)])  # The first call is the slowest.

    async def __call__(self, request: Request) -> Response:
        """One request of any path and method."""
        try:
            return await self._respond(request)
        except RequestError as error:
            headers = {"Allow": "GET" if request.url.path != "/predict" else "POST"} if error.status == 405 else None
            return JSONResponse(error.as_json(), error.status, headers)

    async def _respond(self, request: Request) -> Response:
        path, method = request.url.path, request.method
        if path not in ("/", "/health", "/predict"):
            raise RequestError(404, f"{path[:80]}: not found, expected /predict, /health or /")
        expected = "POST" if path == "/predict" else "GET"
        if method != expected:
            raise RequestError(405, f"{path}: found {method}, expected {expected}")
        if path == "/":
            return HTMLResponse(self._page, headers=PAGE_HEADERS)
        if path == "/health":
            described = self._bundle.manifest
            return JSONResponse({"status": "ok", "run": described["run"], "model": described["model"]})
        # A form of another site can't send this type, so no page elsewhere can make a visitor's browser ask.
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RequestError(415, f"content-type: found {kind[:40] or 'none'}, expected application/json")
        asked = parse(
            await _body(request, self._settings.limits.body_bytes), self._bundle.manifest, self._settings.limits
        )
        probabilities, parts = await self._predict(asked.rows)
        check_finite(probabilities)
        return JSONResponse(answer(asked, self._bundle.parts, self._bundle.class_names, probabilities, parts))

    @serve.batch  # type: ignore[untyped-decorator]
    async def _predict(self, requests: list[list[list[Any]]]) -> list[tuple[Any, Any]]:
        """Probabilities and parts for the rows of each request, as lists."""
        rows = [row for request in requests for row in request]
        outputs = await asyncio.to_thread(self._outputs, rows)
        split, start = [], 0
        for request in requests:
            end = start + len(request)
            split.append((outputs["probabilities"][start:end], outputs["parts"][start:end]))
            start = end
        return split

    def _outputs(self, rows: list[list[Any]]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {"probabilities": [], "parts": []}
        for start in range(0, len(rows), _MOST_AT_A_TIME):
            outputs = self._bundle.outputs(rows[start : start + _MOST_AT_A_TIME])
            for name, values in found.items():
                values.extend(outputs[name].tolist())
        return found


def application(run: RunDirectory, name: str, settings: Settings) -> serve.Application:
    """The application over an exported model. Args: run: its directory, which replicas must reach."""
    deployment = serve.deployment(
        Predictor,
        name="raykd",
        num_replicas=1,
        max_ongoing_requests=settings.waiting,
        max_queued_requests=settings.waiting,
        ray_actor_options={"num_cpus": 1},
    )
    return deployment.bind(run, name, settings)


async def _body(request: Request, most: int) -> bytes:
    """The body, not more of it than `most` bytes. Raises: RequestError."""
    pieces, size = [], 0
    # Read on to a bound, without keeping it: a client that is still sending would see its connection broken off.
    async for piece in request.stream():
        size += len(piece)
        if size > _MOST_READ:
            break
        if size <= most:
            pieces.append(piece)
    if size > most:
        raise RequestError(413, f"the body has more than {most} bytes; send several requests")
    return b"".join(pieces)


def _blank(described: dict[str, Any]) -> list[Any]:
    inputs = described["inputs"]
    return ["a"] * len(described["fields"]) if inputs["kind"] == "tokens" else [[0] * inputs["length"]]
