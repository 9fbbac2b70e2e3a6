"""The last connections of a server that closes its port: those that wait there, and those that have just opened."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

SETTLE = 1.0
"""The seconds in which these connections must have opened, and then those in which they must have sent the head of a request."""


def accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept the connections that wait at a port. The port does not block."""
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        yield connection


async def take_over(
    waiting: Sequence[socket.socket], protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None, seconds: float = SETTLE
) -> None:
    """Serve accepted connections with a protocol. One that does not open in time is closed."""
    loop = asyncio.get_running_loop()
    opening = [asyncio.ensure_future(loop.connect_accepted_socket(protocol, connection, ssl=tls)) for connection in waiting]
    if opening:
        _, late = await asyncio.wait(opening, timeout=seconds)
        for one in late:
            one.cancel()
        await asyncio.gather(*opening, return_exceptions=True)


async def all_have_begun(connections: Collection[Any], seconds: float = SETTLE) -> None:
    """Wait until each connection has begun a request, or for some seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until and any(connection.cycle is None for connection in connections):
        await asyncio.sleep(0.01)
