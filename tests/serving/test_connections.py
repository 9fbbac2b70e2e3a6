"""Connections: slow and large heads, bodies that are no heads, trailers, and requests for another protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from uvicorn.server import ServerState

from manygate.serving import connections
from manygate.serving.connections import HEAD_BYTES, Connection

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the number of bytes of the body, and with the names of all headers."""
    request = Request(scope, receive)
    body = b"" if scope["path"] == "/early" else await request.body()
    if scope["path"] == "/body":
        await Response(body)(scope, receive, send)
        return
    await JSONResponse([len(body), [name.decode() for name, _ in scope["headers"]]])(scope, receive, send)


def talk(work: Callable[[Streams], Awaitable[Any]], seconds: float = 10.0) -> Any:
    """The result of talking to a server on one connection. It must end within ``seconds``."""

    async def all_of_it() -> Any:
        config, state = uvicorn.Config(echo, http=Connection, ws="none", lifespan="off", log_config=None), ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
        streams = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            return await asyncio.wait_for(work(streams), seconds)
        finally:
            streams[1].close()
            server.close()
            await asyncio.sleep(0)

    return asyncio.run(all_of_it())


async def ask(streams: Streams, sent: bytes) -> tuple[bytes, bytes]:
    """The status line and the body of an answer."""
    reader, writer = streams
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length"))
    return head.split(b"\r\n")[0], await reader.readexactly(length)


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"


def test_the_rest_of_a_body_that_was_answered_has_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused client cannot hold its connection by sending a byte now and then."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)

    async def work(streams: Streams) -> bytes:
        status, _ = await ask(streams, b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nok")
        assert status.endswith(b"200 OK")
        for _ in range(100):
            streams[1].write(b"x")
            await asyncio.sleep(0.02)
            if streams[0].at_eof():
                return b"closed"
        return b"open"

    assert talk(work) == b"closed"


def test_a_body_that_was_answered_may_end_and_another_request_follow() -> None:
    async def work(streams: Streams) -> list[bytes]:
        first, _ = await ask(streams, b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nok")
        streams[1].write(b"ok")
        return [first, (await ask(streams, POST))[0]]

    assert all(status.endswith(b"200 OK") for status in talk(work))


def test_requests_follow_one_another_on_a_connection() -> None:
    async def work(streams: Streams) -> list[Any]:
        return [(await ask(streams, sent))[0] for sent in (GET, POST, GET)]

    assert talk(work) == [b"HTTP/1.1 200 OK"] * 3


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", GET + b"GET / HTTP/1.1\r\n"])
def test_a_slow_head_ends_the_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)

    async def work(streams: Streams) -> bytes:
        streams[1].write(sent)
        return await streams[0].read()

    assert talk(work).count(b"200 OK") == sent.count(GET)


def test_a_client_that_thinks_between_requests_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is one of heads. A connection without a request has a longer one."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)

    async def work(streams: Streams) -> bytes:
        await ask(streams, GET)
        await asyncio.sleep(0.8)
        return (await ask(streams, GET))[0]

    assert talk(work) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("header", [b"x: " + b"y" * 1000 + b"\r\n", b"x" * 1000, b"a:\r\n" * 250])
def test_a_large_head_is_refused(header: bytes) -> None:
    async def work(streams: Streams) -> bytes:
        reader, writer = streams
        writer.write(b"GET / HTTP/1.1\r\n")
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(header)
            await asyncio.sleep(0.001)
        return answer.result()

    assert talk(work).startswith(b"HTTP/1.1 400 ")


def test_a_body_is_no_head() -> None:
    size = 10 * HEAD_BYTES

    async def work(streams: Streams) -> bytes:
        streams[1].write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(10):
            streams[1].write(b"x" * HEAD_BYTES)
            await asyncio.sleep(0)
        return (await ask(streams, b""))[1]

    assert talk(work).startswith(b"[%d," % size)


@pytest.mark.parametrize("headers", [b"x: " + b"y" * HEAD_BYTES + b"\r\n", b"x: y\r\n" * (HEAD_BYTES // 2)])
def test_a_large_head_that_comes_at_once_is_refused(headers: bytes) -> None:
    async def work(streams: Streams) -> bytes:
        streams[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        return await streams[0].read()

    assert talk(work).startswith(b"HTTP/1.1 400 ")


def test_a_long_path_that_comes_at_once_is_refused() -> None:
    async def work(streams: Streams) -> bytes:
        streams[1].write(b"GET /" + b"x" * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        return await streams[0].read()

    assert talk(work).startswith(b"HTTP/1.1 400 ")


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("part", [b"x: " + b"y" * 1000 + b"\r\n", b"x" * 1000, b"a:\r\n" * 250])
def test_large_trailers_end_the_connection(part: bytes) -> None:
    async def work(streams: Streams) -> bytes:
        reader, writer = streams
        writer.write(CHUNKED + b"2\r\nok\r\n0\r\n")
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(part)
            await asyncio.sleep(0.001)
        return answer.result()

    assert talk(work).startswith(b"HTTP/1.1 400 ")


def test_the_sizes_of_many_parts_are_no_trailers() -> None:
    parts = HEAD_BYTES // 4

    async def work(streams: Streams) -> bytes:
        streams[1].write(CHUNKED)
        for _ in range(parts // 1024):
            streams[1].write(b"1\r\nx\r\n" * 1024)
            await asyncio.sleep(0)
        return (await ask(streams, b"0\r\n\r\n"))[1]

    assert talk(work).startswith(b"[%d," % parts)


@pytest.mark.parametrize("garbage", [b"\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nx" + b"y" * HEAD_BYTES])
@pytest.mark.parametrize("requests", [1, 3])
def test_requests_before_one_that_cannot_be_read_are_answered(requests: int, garbage: bytes) -> None:
    """A 400 at once would be taken for the answer to the first request."""

    async def work(streams: Streams) -> bytes:
        streams[1].write(POST * requests + garbage)
        return await streams[0].read()

    answer = talk(work)
    assert answer.count(b"HTTP/1.1 200 OK") == requests
    assert b"HTTP/1.1 400" not in answer


def test_a_body_that_cannot_be_read_waits_for_its_turn() -> None:
    """The server answers it with 408 when its time is over. The application here waits for ever."""

    async def work(streams: Streams) -> bytes:
        status, _ = await ask(streams, POST + CHUNKED + b"no size\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(streams[0].read(1), 0.2)
        return status

    assert talk(work) == b"HTTP/1.1 200 OK"


def test_a_request_that_cannot_be_read_after_an_answer_is_refused() -> None:
    async def work(streams: Streams) -> bytes:
        await ask(streams, POST)
        streams[1].write(b"\0\0\0\r\n\r\n")
        return await streams[0].read()

    assert talk(work).startswith(b"HTTP/1.1 400 ")


def test_a_body_that_cannot_be_read_is_refused() -> None:
    async def work(streams: Streams) -> bytes:
        streams[1].write(CHUNKED + b"no size\r\n")
        return await streams[0].read()

    assert talk(work).startswith(b"HTTP/1.1 400 ")


H2C = (
    b"POST / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: x\r\nHTTP2-Settings: AAE\r\n"
    b"%s: h2c\r\nContent-Length: %d\r\n\r\n%s"
)


@pytest.mark.parametrize("name", [b"Upgrade", b"upgrade", b"UPGRADE"])
@pytest.mark.parametrize("body", [b"ok", b"\r\nUpgrade: x\r\n\r\n", b"upgrade:"])
def test_another_protocol_is_ignored(name: bytes, body: bytes) -> None:
    """Wherever what was sent is cut in two, the body arrives, and the connection goes on."""
    sent = H2C % (name, len(body), body)
    begins = sent.index(b"\r\n%s:" % name)

    async def work(streams: Streams) -> None:
        for place in (0, *range(begins, begins + 2 + len(name)), sent.index(b"\r\n\r\n") + 2, len(sent) - len(body)):
            streams[1].write(sent[:place])
            await streams[1].drain()
            await asyncio.sleep(0.01)
            status, answer = await ask(streams, sent[place:])
            assert (status, json.loads(answer)[0]) == (b"HTTP/1.1 200 OK", len(body)), place
        status, answer = await ask(streams, POST)
        assert (status, json.loads(answer)[0]) == (b"HTTP/1.1 200 OK", 2)

    talk(work)


def test_a_body_keeps_its_bytes() -> None:
    """A body may hold the words of a head."""
    words = b"a\r\nUpgrade: h2c\r\n\r\nb" * 3
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(words)

    async def work(streams: Streams) -> None:
        for place in range(len(head) - 3, len(head) + 12):
            streams[1].write((head + words)[:place])
            await streams[1].drain()
            await asyncio.sleep(0.01)
            assert (await ask(streams, (head + words)[place:]))[1] == words, place

    talk(work)


def test_trailers_are_no_headers() -> None:
    """They come after the request was routed and its access checked."""

    async def work(streams: Streams) -> bytes:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
        return (await ask(streams, head + b"Authorization: x\r\n\r\n"))[1]

    assert talk(work) == b'[2,["host","transfer-encoding"]]'


def test_nonsense_is_refused() -> None:
    async def work(streams: Streams) -> bytes:
        streams[1].write(b"\x16\x03\x01\x02\x00\r\n\r\n")
        return await streams[0].read()

    assert talk(work).startswith(b"HTTP/1.1 400 ")
