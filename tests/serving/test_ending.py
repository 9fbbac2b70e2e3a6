"""The last connections of a server get their answers."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from manygate.serving.connections import Connection
from manygate.serving.ending import accept_waiting, all_have_begun, take_over
from manygate.serving.server import Server

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture
def listener() -> Any:
    """A port of this machine that does not block."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.setblocking(False)
        yield opened


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Be an application that answers every request."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"here"})


def ended(listener: socket.socket, clients: list[socket.socket]) -> None:
    """Start a server on a port at which clients wait, and end it before it could accept one."""

    async def run() -> None:
        config = uvicorn.Config(answer, http=Connection, lifespan="off", log_config=None, access_log=False)
        config.load()
        server = Server(config, SimpleNamespace())  # type: ignore[arg-type]
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        for client in clients:
            client.connect(listener.getsockname())
            client.sendall(REQUEST)
        await server.shutdown(sockets=[listener])

    asyncio.run(run())


def test_connections_that_wait_at_the_port_are_answered(listener: socket.socket) -> None:
    clients = [socket.socket() for _ in range(3)]
    ended(listener, clients)
    for client in clients:
        with client:
            assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_waiting_connections_are_accepted_without_blocking(listener: socket.socket) -> None:
    assert list(accept_waiting(listener)) == []
    with socket.create_connection(listener.getsockname()), socket.create_connection(listener.getsockname()):
        accepted = list(accept_waiting(listener))
        assert len(accepted) == 2
        for connection in accepted:
            assert connection.gettimeout() == 0
            connection.close()


def test_a_connection_that_cannot_open_is_no_error() -> None:
    closed = socket.socket()
    closed.setblocking(False)
    closed.close()
    asyncio.run(take_over([closed], asyncio.Protocol, None))


def test_the_end_waits_for_the_first_request_of_a_connection() -> None:
    connection = SimpleNamespace(cycle=None)

    async def run() -> bool:
        waiting = asyncio.create_task(all_have_begun([connection], seconds=60))
        await asyncio.sleep(0.05)
        before = waiting.done()
        connection.cycle = "a request"
        await waiting
        return before

    assert not asyncio.run(run())


def test_a_silent_connection_does_not_hold_the_end_up_for_ever() -> None:
    asyncio.run(all_have_begun([SimpleNamespace(cycle=None)], seconds=0.01))
