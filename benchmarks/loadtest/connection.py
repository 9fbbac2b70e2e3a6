"""One keep-alive HTTP/1.1 connection that costs the load generator little: it reads the status and the length of an answer only."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class NoAnswerError(Exception):
    """A request got no answer. The message is the kind of failure."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    head: bytes
    body: bytes


def request_bytes(path: str, body: bytes, method: str = "POST", headers: tuple[str, ...] = ()) -> bytes:
    """Return a whole request."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection(asyncio.Protocol):
    """A connection for one request at a time. It opens when it is first used, and again after the server closed it."""

    def __init__(self, host: str, port: int):
        self.address = host, port
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._received = bytearray()
        self._needed = 0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def open(self) -> None:
        """Connect. Raises :class:`NoAnswerError` if nobody listens."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, *self.address)
        except OSError as error:
            raise NoAnswerError(f"connect: {type(error).__name__}") from None

    async def ask(self, request: bytes, timeout: float) -> Answer:
        """Send a request and wait for its answer. Raises :class:`NoAnswerError`."""
        assert self._transport is not None
        self._received.clear()
        self._needed = 0
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await asyncio.wait_for(self._waiting, timeout)
        except TimeoutError:
            self.close()
            raise NoAnswerError("timeout") from None
        finally:
            self._waiting = None

    def close(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        partial = " within the answer" if self._received else ""
        self._fail(f"closed{partial}: {type(error).__name__ if error else 'end of stream'}")

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._needed:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._received, 0, end + 2)
            if length is None:
                self._fail("an answer without a length")
                self.close()
                return
            self._needed = end + 4 + int(length[1])
        if len(self._received) >= self._needed:
            self._finish()

    def _finish(self) -> None:
        head, _, body = bytes(self._received).partition(b"\r\n\r\n")
        if _CLOSE.search(head + b"\r\n") and self._transport is not None:
            self._transport.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Answer(int(head[9:12]), head, body))

    def _fail(self, kind: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(NoAnswerError(kind))
