"""The routes of the server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from manygate.serving.distribution import distribution_version
from manygate.serving.openapi import openapi
from manygate.serving.page import page
from manygate.serving.protocol import EXTENSIONS, HEADER, metadata, parse, read_infer, write_infer
from manygate.serving.rank import answer, read_rank
from manygate.serving.refusals import Unknown
from manygate.serving.service import Exchange, Service, Work, json_response

MODEL = "/v2/models/{name}"
VERSION = MODEL + "/versions/{version}"


def make_app(service: Service) -> Starlette:
    """Return the application of a server. Its routes answer as soon as it has started."""
    works: dict[tuple[str, str], tuple[str, Work]] = {
        ("POST", "/v1/rank"): ("rank", rank),
        ("POST", MODEL + "/infer"): ("infer", infer),
        ("POST", VERSION + "/infer"): ("infer", infer),
        ("GET", "/v2"): ("server", server_metadata),
        ("GET", MODEL): ("metadata", model_metadata),
        ("GET", VERSION): ("metadata", model_metadata),
        ("GET", MODEL + "/ready"): ("ready", model_ready),
        ("GET", VERSION + "/ready"): ("ready", model_ready),
        ("GET", "/metrics"): ("metrics", metrics),
        ("GET", "/openapi.json"): ("openapi", document),
    }

    async def health(request: Request) -> Response:
        return ready(service)

    routes = [
        Route(path, service.answering(name, work, admit=method == "POST"), methods=[method])
        for (method, path), (name, work) in works.items()
    ]
    routes += [
        Route("/v2/health/live", live),
        Route("/v2/health/ready", health),
        Route("/", home),
    ]

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = Starlette(routes=routes, exception_handlers={HTTPException: no_route}, lifespan=running)
    app.router.redirect_slashes = False  # a redirect would repeat the Host that the client made up
    return app


PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
}


def no_route(request: Request, error: Exception) -> Response:
    """Answer a request for which there is no route."""
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this path.", 405: "this path does not take this method."}
    problem = words.get(error.status_code, "the request cannot be answered.")
    return json_response({"error": problem}, error.status_code, dict(error.headers or {}))


async def live(request: Request) -> Response:
    """Say that the server lives."""
    return json_response({"live": True})


async def home(request: Request) -> Response:
    """Answer with the page on which requests can be tried."""
    return HTMLResponse(page(), headers=PAGE_HEADERS)


def ready(service: Service) -> Response:
    """Say whether new requests are welcome."""
    return json_response({"ready": not service.draining}, 503 if service.draining else 200)


async def server_metadata(exchange: Exchange) -> Response:
    """Answer with the metadata of the server."""
    return json_response({"name": "manygate", "version": distribution_version(), "extensions": EXTENSIONS})


async def model_metadata(exchange: Exchange) -> Response:
    """Answer with the metadata of the model."""
    _check_model(exchange)
    version = exchange.version
    return json_response(metadata(exchange.service.name, version.model_version, version.inputs, version.outputs))


async def model_ready(exchange: Exchange) -> Response:
    """Say whether the model answers."""
    _check_model(exchange)
    return ready(exchange.service)


async def metrics(exchange: Exchange) -> Response:
    """Answer with the metrics."""
    text, kind = exchange.service.measures.text()
    return Response(text, media_type=kind)


async def document(exchange: Exchange) -> Response:
    """Answer with the OpenAPI document."""
    return json_response(openapi(exchange.service.name, exchange.version, exchange.service.settings))


async def rank(exchange: Exchange) -> Response:
    """Rank candidates."""
    body = await exchange.body()
    start = time.perf_counter()
    version = exchange.version
    request = read_rank(parse(body), version.inputs, version.outputs, version.score, exchange.service.settings.max_rows)
    columns = await exchange.predict(request.feed, start)
    exchange.keep(request.feed, columns, request.ids)
    return json_response(version.names | answer(request, columns))


async def infer(exchange: Exchange) -> Response:
    """Predict rows, as the protocol says."""
    _check_model(exchange)
    service, version = exchange.service, exchange.version
    body = await exchange.body()
    start = time.perf_counter()
    header = exchange.request.headers.get(HEADER)
    request = read_infer(body, header, version.inputs, version.outputs, service.settings.max_rows)
    columns = await exchange.predict(request.feed, start)
    exchange.keep(request.feed, columns)
    content, head = write_infer(request, columns, service.name, version.model_version)
    if head is None:
        return Response(content, media_type="application/json")
    return Response(content, headers={HEADER: str(head)}, media_type="application/octet-stream")


def _check_model(exchange: Exchange) -> None:
    """Raise :class:`Unknown` if the path names another model, or another version than the one that answers."""
    asked, service = exchange.request.path_params, exchange.service
    if asked["name"] != service.name:
        raise Unknown(f"there is no model of this name. This server has {service.name!r}.")
    if asked.get("version", exchange.version.model_version) != exchange.version.model_version:
        raise Unknown(f"there is no such version. Now {exchange.version.model_version!r} answers.")
