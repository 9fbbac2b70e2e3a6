"""What every request passes: access, admission, its body, its prediction, and the note in the log and the metrics."""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from manygate.config.serve_settings import ServeConfig
from manygate.serving.access import brings
from manygate.serving.batching import Batcher, Columns, failure
from manygate.serving.feeds import Feed
from manygate.serving.log import Log
from manygate.serving.measures import Measures
from manygate.serving.monitor import Monitor
from manygate.serving.refusals import NoAccess, Packed, Refusal, TooLarge, TooSlow
from manygate.serving.request_log import RequestLog
from manygate.serving.versions import Version, Versions

REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


class Exchange:
    """A request on its way to its answer: what the log says of it in the end.

    Args:
        service: The server.
        request: The request.
    """

    def __init__(self, service: Service, request: Request):
        self.service, self.request = service, request
        given = request.headers.get("x-request-id", "")
        self.id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        self.version: Version = service.versions.current
        """The version that answers. It stays the same when a new one takes its place meanwhile."""
        self.start = time.perf_counter()
        self.rows = 0

    async def body(self) -> bytes:
        """Return the body. Raises a :class:`Refusal` if it is too large, too slow or packed."""
        settings, headers = self.service.settings, self.request.headers
        too_large = TooLarge(f"the body has more than {settings.max_body:,} bytes.", {"Connection": "close"})
        if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise Packed("packed bodies are not read. Send it without Content-Encoding.", {"Connection": "close"})
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > settings.max_body:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(settings.body_seconds):
                async for part in self.request.stream():
                    size += len(part)
                    if size > settings.max_body:
                        raise too_large
                    parts.append(part)
        except TimeoutError:
            slow = f"the body did not arrive within {settings.body_seconds:g} seconds."
            raise TooSlow(slow, {"Connection": "close"}) from None
        self.service.measures.stages["read"].observe(time.perf_counter() - self.start)
        return b"".join(parts)

    async def predict(self, feed: Feed, parsed_from: float) -> Columns:
        """Return the predictions for the inputs that were read from ``parsed_from`` on."""
        self.rows = feed.rows
        self.service.measures.stages["parse"].observe(time.perf_counter() - parsed_from)
        return await self.service.batcher.predict(self.version, feed, self.start + self.service.settings.deadline)

    def keep(self, feed: Feed, columns: Columns, ids: Any = None) -> None:
        """Give the request and its predictions to the log of requests."""
        if self.service.request_log is not None:
            self.service.request_log.offer(self.id, self.version, feed, columns, ids)


Work = Callable[[Exchange], Awaitable[Response]]


class Service:
    """The server without its routes.

    Args:
        versions: The model, and its new versions.
        settings: Settings of the server.
        token: The token that requests must bring, or None.
        log: Where lines of the log go.
    """

    def __init__(self, versions: Versions, settings: ServeConfig, token: str | None = None, log: Log | None = None):
        self.versions, self.settings, self.token = versions, settings, token
        self.log = log or Log(settings.log_level)
        self.measures = Measures()
        self.monitor = Monitor(self.measures)
        self.request_log = RequestLog(settings.log_requests, settings.log_share, self.log) if settings.log_requests else None
        self.batcher = Batcher(settings.deadline, settings.queue, settings.batch_rows, self.monitor.observe, self.monitor.wants)
        self.draining = False
        self._watching: asyncio.Task[None] | None = None
        self.measures.show_version(versions.current.names)

    @property
    def name(self) -> str:
        """The name of the model in URLs. A symbolic link gives its own name, which stays when it points elsewhere."""
        return self.settings.name or re.sub(r"[^\w.-]", "_", self.versions.folder.absolute().name) or "model"

    def answering(self, route: str, work: Work, admit: bool = True) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that answers with ``work``. Its errors become answers, too.

        With ``admit`` the request counts as one that waits, and may be refused because there are too many.
        """

        async def endpoint(request: Request) -> Response:
            exchange = Exchange(self, request)
            try:
                if not brings(request.headers.get("authorization"), self.token):
                    raise NoAccess("a token is missing, or it is wrong.", {"WWW-Authenticate": "Bearer"})
                if admit:
                    with self.batcher.admitted(), self.measures.inside.track_inprogress():
                        response = await work(exchange)
                else:
                    response = await work(exchange)
            except Refusal as refusal:
                response = self._refused(refusal)
            except ClientDisconnect:
                response = Response(status_code=400)
            except Exception as error:  # a fault of the server; the client learns nothing of it, the log everything
                self.log.write("error", "fault", id=exchange.id, route=route, error="".join(traceback.format_exception(error)))
                response = self._refused(failure(error))
            return self._noted(route, exchange, response)

        return endpoint

    def _refused(self, refusal: Refusal) -> Response:
        self.measures.refused.labels(type(refusal).__name__).inc()
        return json_response({"error": str(refusal)}, refusal.status, refusal.headers)

    def _noted(self, route: str, exchange: Exchange, response: Response) -> Response:
        """Return the response after it was counted and logged."""
        response.headers["X-Request-Id"] = exchange.id
        if self.draining:
            response.headers["Connection"] = "close"
        seconds = time.perf_counter() - exchange.start
        self.measures.requests.labels(route, str(response.status_code)).inc()
        if route in ("rank", "infer"):
            self.measures.stages["answer"].observe(seconds)
        self.log.write(
            "info" if response.status_code < 500 else "warning",
            "request",
            id=exchange.id,
            route=route,
            status=response.status_code,
            rows=exchange.rows,
            ms=round(1000 * seconds, 2),
            model_version=exchange.version.model_version,
        )
        return response

    async def start(self) -> None:
        """Begin to look for new versions."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End after the requests that are inside."""
        if self._watching is not None:
            self._watching.cancel()
        await self.batcher.close()
        if self.request_log is not None:
            self.request_log.close()

    async def _watch(self) -> None:
        """Let new versions answer as soon as they are loaded. A version that cannot be loaded is logged, and the old one stays."""
        while True:
            await asyncio.sleep(self.settings.watch)
            try:
                changed = await asyncio.to_thread(self.versions.refresh)
            except Exception as error:  # whatever a broken version raises, the old one goes on
                self.measures.swaps.labels("failed").inc()
                self.log.write("error", "version refused", error=str(error), **self.versions.current.names)
                continue
            if changed:
                self.measures.swaps.labels("done").inc()
                self.measures.show_version(self.versions.current.names)
                self.log.write("warning", "new version", **self.versions.current.names)


def json_response(tree: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in JSON."""
    body = orjson.dumps(tree, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")
