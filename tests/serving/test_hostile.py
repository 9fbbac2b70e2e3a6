"""Hostile clients of a real server: each is refused or dropped, and a good request gets the same answer bit by bit."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from exported import Exported
from served import Process, as_json, funnel_rows

SECRET = "value-that-is-private"
PATIENCE = 15.0


@pytest.fixture(scope="module")
def server(exported: Exported) -> Iterator[Process]:
    settings = ("--name", "ads", "--max-body", "200000", "--body-seconds", "1", "--threads", "1", "--deadline", "60")
    with Process(exported.folder, *settings) as process:
        yield process


@pytest.fixture(scope="module")
def good(exported: Exported) -> dict[str, Any]:
    return {"candidates": as_json(funnel_rows(), exported.model.features)}


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: x", *headers, "", ""]).encode("latin-1")


def post(body: bytes, *headers: str, path: str = "/v1/rank") -> bytes:
    return head(f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", "Connection: close", *headers) + body


def infer(body: bytes, *headers: str) -> bytes:
    return post(body, *headers, path="/v2/models/ads/infer")


def rows(values: Any) -> bytes:
    return json.dumps({"candidates": values}).encode()


def tensor(**entry: Any) -> bytes:
    whole = {"name": "item", "datatype": "INT64", "shape": [1], "data": [1], **entry}
    return json.dumps({"inputs": [whole, {**whole, "name": SECRET}]}).encode()


CHUNKED = "Transfer-Encoding: chunked"
SENT: dict[str, bytes] = {
    "deep lists": post(b"[" * 100_000),
    "deep objects": post(b'{"candidates":' * 10_000),
    "deep by": post(b'{"by":' + b"[" * 900 + b"]" * 900 + b"}"),
    "a literal NaN": post(b'{"candidates": {"age": [NaN]}}'),
    "a huge number": post(b'{"candidates": {"item": [' + b"9" * 5000 + b"]}}"),
    "an infinite number": post(b'{"candidates": {"age": [1e999]}}'),
    "bytes that are no UTF-8": post(b'{"candidates": {"word": ["\xff"]}}'),
    "half a character": post(b'{"candidates": {"word": ["\\ud800"]}}'),
    "values of another type": post(rows({"item": [SECRET], "word": [3], "tags": [SECRET]})),
    "rows of another type": post(rows([SECRET])),
    "names given twice": post(b'{"candidates": [], "candidates": {"item": [1], "item": [2]}}'),
    "an empty body": post(b""),
    "a shape without bytes": infer(tensor(name="word", datatype="BYTES", shape=[4_000_000], parameters={"binary_data_size": 0})),
    "a negative shape": infer(tensor(shape=[-1])),
    "a huge shape": infer(tensor(shape=[2**62])),
    "a long length of JSON": infer(b"{}", "Inference-Header-Content-Length: " + "9" * 5000),
    "a negative length of JSON": infer(b"{}", "Inference-Header-Content-Length: -1"),
    "no tensors": infer(b"{}"),
    "a large body": post(b"x" * 200_001),
    "a large chunked body": head("POST /v1/rank HTTP/1.1", CHUNKED)
    + b"30000\r\n"
    + b"x" * 0x30000
    + b"\r\n30000\r\n"
    + b"x" * 0x30000,
    "a body that never comes": head("POST /v1/rank HTTP/1.1", "Content-Length: 100"),
    "a chunk that is none": head("POST /v1/rank HTTP/1.1", CHUNKED) + b"zz\r\n",
    "a huge chunk": head("POST /v1/rank HTTP/1.1", CHUNKED) + b"f" * 30 + b"\r\n",
    "a packed body": post(b"x", "Content-Encoding: gzip"),
    "two lengths": head("POST /v1/rank HTTP/1.1", "Content-Length: 1", "Content-Length: 2") + b"xx",
    "a length and chunks": head("POST /v1/rank HTTP/1.1", "Content-Length: 5", CHUNKED) + b"0\r\n\r\n",
    "a negative length": head("POST /v1/rank HTTP/1.1", "Content-Length: -1"),
    "a huge length": head("POST /v1/rank HTTP/1.1", "Content-Length: " + "9" * 30),
    "a length in words": head("POST /v1/rank HTTP/1.1", "Content-Length: ten"),
    "a space before the colon": head("GET /v2 HTTP/1.1", "X : y", "Connection: close"),
    "a folded header": head("GET /v2 HTTP/1.1", "X: y", " z", "Connection: close"),
    "a NUL in a header": head("GET /v2 HTTP/1.1", "X: \0", "Connection: close"),
    "lines without CR": b"GET /v2 HTTP/1.1\nHost: x\nConnection: close\n\n",
    "a path upwards": head("GET /v2/models/..%2f..%2fetc%2fpasswd HTTP/1.1", "Connection: close"),
    "a NUL in the path": head("GET /v2/models/%00 HTTP/1.1", "Connection: close"),
    "bytes in the path": head("GET /\xff\xfe HTTP/1.1", "Connection: close"),
    "a long path": head("GET /" + "x" * 60_000 + " HTTP/1.1", "Connection: close"),
    "a very long path": head("GET /" + "x" * 700_000 + " HTTP/1.1", "Connection: close"),
    "many headers": head("GET /v2 HTTP/1.1", *(f"x{n}: y" for n in range(60_000)), "Connection: close"),
    "HTTP/1.0": b"GET /nothing HTTP/1.0\r\n\r\n",
    "HTTP/0.9": b"GET /nothing\r\n\r\n",
    "HTTP/9.9": head("GET /v2 HTTP/9.9"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "OPTIONS": head("OPTIONS * HTTP/1.1", "Connection: close"),
    "TRACE": head("TRACE /v2 HTTP/1.1", f"Cookie: {SECRET}", "Connection: close"),
    "CONNECT": head("CONNECT example.com:80 HTTP/1.1", "Connection: close"),
    "another method": head("BREW /v2 HTTP/1.1", "Connection: close"),
}
GOOD_ANYWAY = {"many headers", "lines without CR", "a NUL in a header", "a space before the colon", "a folded header"}
"""A server may take these."""


def told(server: Process, sent: bytes) -> bytes:
    """Everything that the server answers until it ends the connection."""
    host, port = server.url.removeprefix("http://").split(":")
    parts: list[bytes] = []
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        try:
            connection.sendall(sent)
            while part := connection.recv(65536):
                parts.append(part)
        except ConnectionError:  # the server ended the connection before it read everything
            parts.append(b"")
    return b"".join(parts)


def assert_harmless(name: str, answer: bytes) -> None:
    for word in (SECRET, "Traceback", "passwd", 'File "', "site-packages"):
        assert word.encode() not in answer.split(b"\r\n\r\n", 1)[-1].replace(b"no input '" + SECRET.encode(), b""), name
    status = answer[9:12]
    assert status in ((b"", b"200") if name in GOOD_ANYWAY else (b"",)) or status.startswith(b"4"), (name, answer[:300])


def test_hostile_requests_are_refused_while_good_ones_are_answered(server: Process, good: dict[str, Any]) -> None:
    expected = server.post("/v1/rank", good)
    assert expected[0] == 200
    with ThreadPoolExecutor(8) as pool:
        answers = {name: pool.submit(told, server, sent) for name, sent in SENT.items()}
        for _ in range(20):
            assert server.post("/v1/rank", good) == expected
        for name, answer in answers.items():
            assert_harmless(name, answer.result())
    assert server.post("/v1/rank", good) == expected
    assert server.process.poll() is None


def test_requests_that_come_at_once_are_answered_in_turn(server: Process) -> None:
    sent = head("GET /v2/health/live HTTP/1.1") + head("GET /nothing HTTP/1.1", "Connection: close")
    answer = told(server, sent)
    assert answer.index(b"200 OK") < answer.index(b"404 Not Found")
