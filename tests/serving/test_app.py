"""The routes: what stands where, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from exported import Exported
from served import client_of, service_of


@pytest.fixture(scope="module")
def client(exported: Exported) -> Iterator[TestClient]:
    with client_of(service_of(exported.folder, name="ads")) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/ads", 200),
        ("GET", "/v2/models/ads/ready", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("HEAD", "/v2", 200),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/ads/versions/other", 404),
        ("GET", "/v2/models/ads/versions/other/ready", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/ads/versions/1/infer", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v1/rank", 405),
        ("POST", "/v2", 405),
        ("DELETE", "/v1/rank", 405),
    ],
)
def test_routes(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    if status >= 400:
        assert list(answer.json()) == ["error"]


def test_a_version_can_be_asked_for(exported: Exported, client: TestClient) -> None:
    (version,) = client.get("/v2/models/ads").json()["versions"]
    for end in ("", "/ready"):
        assert client.get(f"/v2/models/ads/versions/{version}{end}").status_code == 200
    assert client.post(f"/v2/models/ads/versions/{version}/infer", json={}).status_code == 400


def test_the_page_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["content-type"].startswith("text/html")


def test_server_metadata(client: TestClient) -> None:
    tree = client.get("/v2").json()
    assert (tree["name"], tree["extensions"]) == ("manygate", ["binary_tensor_data"])


def test_a_slash_too_many_is_no_redirect(exported: Exported) -> None:
    """A redirect would repeat the Host that the client made up."""
    with client_of(service_of(exported.folder)) as client:
        answer = client.get("/v2/", headers={"Host": "evil.example"}, follow_redirects=False)
    assert (answer.status_code, "evil" in answer.text) == (404, False)
