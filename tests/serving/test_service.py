"""What every request passes, whatever it asks: access, limits, its number, the log, the metrics, and new versions."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

import manygate.serving.service as service_module
from exported import Exported
from manygate.files import write_manifest
from manygate.serving.refusals import BadRequest
from manygate.serving.service import Service, json_response
from served import as_json, client_of, funnel_rows, lines_of, service_of

TOKEN = "0123456789abcdef"


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.folder, tmp_path / "my model"))


@pytest.fixture(scope="module")
def request_tree(exported: Exported) -> dict[str, Any]:
    return {"candidates": as_json(funnel_rows(), exported.model.features)}


def requests_of(service: Service) -> list[dict[str, Any]]:
    return [line for line in lines_of(service) if line["event"] == "request"]


def test_the_name_of_a_model_fits_a_url(folder: Path, tmp_path: Path) -> None:
    assert service_of(folder).name == "my_model"
    assert service_of(folder, name="ads-1.2").name == "ads-1.2"
    link = tmp_path / "current"
    link.symlink_to(folder)
    assert service_of(link).name == "current", "its URLs stay when the link points elsewhere"


def test_a_request_is_logged_and_counted(folder: Path, request_tree: dict[str, Any]) -> None:
    service = service_of(folder)
    with client_of(service) as client:
        answer = client.post("/v1/rank", json=request_tree, headers={"X-Request-Id": "abc-1"})
        metrics = client.get("/metrics").text
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "abc-1"
    first = requests_of(service)[0]
    assert first.pop("ms") > 0
    assert {key: first[key] for key in ("level", "id", "route", "status", "rows")} == {
        "level": "info", "id": "abc-1", "route": "rank", "status": 200, "rows": 24,
    }  # fmt: skip
    assert first["model_version"] == service.versions.current.model_version
    assert 'manygate_requests_total{route="rank",status="200"} 1.0' in metrics
    for stage in ("read", "parse", "wait", "model", "answer"):
        assert f'manygate_stage_seconds_count{{stage="{stage}"}} 1.0' in metrics
    assert "manygate_inside 0.0" in metrics


@pytest.mark.parametrize("given", ["a b", "x" * 65, "é", ""])
def test_a_strange_request_id_is_replaced(folder: Path, given: str) -> None:
    with client_of(service_of(folder)) as client:
        answer = client.get("/v2", headers={"X-Request-Id": given.encode()})
    assert len(answer.headers["x-request-id"]) == 32


def test_every_route_but_health_and_the_page_needs_the_token(folder: Path, request_tree: dict[str, Any]) -> None:
    service = service_of(folder, token=TOKEN)
    with client_of(service) as client:
        for path in ("/v2", "/v2/models/my_model", "/v2/models/my_model/ready", "/metrics", "/openapi.json"):
            refused = client.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        for path in ("/v1/rank", "/v2/models/my_model/infer"):
            assert client.post(path, json=request_tree).status_code == 401
        assert client.post("/v1/rank", json=request_tree, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        for path in ("/v2/health/live", "/v2/health/ready", "/"):
            assert client.get(path).status_code == 200
    assert service.batcher.inside == 0


def test_bodies_have_limits(folder: Path) -> None:
    service = service_of(folder, max_body=1000)
    with client_of(service) as client:
        long = client.post("/v1/rank", content=b"x" * 1001)
        chunked = client.post("/v1/rank", content=iter([b"x" * 600, b"x" * 600]))
        packed = client.post("/v1/rank", content=b"x", headers={"Content-Encoding": "gzip"})
    assert [answer.status_code for answer in (long, chunked, packed)] == [413, 413, 415]
    assert {answer.headers["connection"] for answer in (long, chunked, packed)} == {"close"}
    assert "1,000 bytes" in long.json()["error"]
    assert service.batcher.inside == 0


def test_a_full_server_refuses_before_it_reads_the_body(folder: Path) -> None:
    service = service_of(folder, queue=1)

    async def ask() -> tuple[int, int]:
        reads = 0

        async def work(exchange: service_module.Exchange) -> Response:
            nonlocal reads
            reads += 1
            await exchange.body()
            return json_response({})

        async def never() -> dict[str, Any]:
            raise AssertionError("the body is read")

        endpoint = service.answering("rank", work)
        from starlette.requests import Request

        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
        with service.batcher.admitted():
            return (await endpoint(Request(scope, never))).status_code, reads

    assert asyncio.run(ask()) == (429, 0)


def test_a_slow_body_is_given_up(folder: Path) -> None:
    service = service_of(folder, body_seconds=0.05)

    async def ask() -> Response:
        async def slow() -> dict[str, Any]:
            await asyncio.sleep(5)
            return {"type": "http.request"}

        async def work(exchange: service_module.Exchange) -> Response:
            return json_response(len(await exchange.body()))

        from starlette.requests import Request

        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
        return await service.answering("rank", work)(Request(scope, slow))

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")


def test_a_fault_tells_the_client_nothing_and_the_log_everything(
    folder: Path, request_tree: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(folder)

    def broken(*_: Any) -> Any:
        raise RuntimeError("secret of /etc/passwd")

    monkeypatch.setattr("manygate.serving.app.answer", broken)
    with client_of(service) as client:
        answer = client.post("/v1/rank", json=request_tree)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (fault,) = [line for line in lines_of(service) if line["event"] == "fault"]
    assert "secret of /etc/passwd" in fault["error"]
    assert fault["id"] == answer.headers["x-request-id"]


def test_refusals_are_counted_by_reason(folder: Path) -> None:
    service = service_of(folder)
    with client_of(service) as client:
        answer = client.post("/v1/rank", content=b"{")
        metrics = client.get("/metrics").text
    assert answer.status_code == BadRequest.status
    assert 'manygate_refused_total{reason="BadRequest"} 1.0' in metrics


def test_a_server_that_drains_says_so(folder: Path, request_tree: dict[str, Any]) -> None:
    service = service_of(folder)
    with client_of(service) as client:
        assert client.get("/v2/health/ready").status_code == 200
        service.draining = True
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/v2/health/live").status_code == 200
        answer = client.post("/v1/rank", json=request_tree)
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


def wait_for(service: Service, event: str) -> dict[str, Any]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = [line for line in lines_of(service) if line["event"] == event]
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no {event} in the log")


def test_a_new_version_answers_and_a_broken_one_does_not(folder: Path, request_tree: dict[str, Any]) -> None:
    service = service_of(folder, watch=0.05)
    manifest = {name: value for name, value in service.versions.current.model.manifest.items() if name != "files"}
    with client_of(service) as client:
        before = client.post("/v1/rank", json=request_tree).json()
        write_manifest(folder, {**manifest, "note": "new"})
        line = wait_for(service, "new version")
        after = client.post("/v1/rank", json=request_tree).json()
        write_manifest(folder, {**manifest, "export_version": 99})
        wait_for(service, "version refused")
        last = client.post("/v1/rank", json=request_tree).json()
        metrics = client.get("/metrics").text
    assert line["model_version"] == after["model_version"] == last["model_version"] != before["model_version"]
    assert before["scores"] == after["scores"] == last["scores"]
    assert 'manygate_swaps_total{result="done"} 1.0' in metrics
    assert 'manygate_swaps_total{result="failed"} 1.0' in metrics
    shown = [line for line in metrics.splitlines() if line.startswith("manygate_version{")]
    answering = {line.split('model_version="')[1][:12]: line[-3:] for line in shown}
    assert answering == {after["model_version"]: "1.0", before["model_version"]: "0.0"}
