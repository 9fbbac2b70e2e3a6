"""Connections that end if a client is slow to say what it wants, or says too much before it does."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""The seconds in which the head of a request must arrive, and those before a new connection sends anything."""
HEAD_BYTES = 64 * 1024
"""The most bytes of a head (the path and the headers), and of the headers after a body."""
UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)
END_OF_HEAD = b"\r\n\r\n"
TOO_LARGE = f"The head of the request has more than {HEAD_BYTES} bytes."


class Connection(HttpToolsProtocol):
    """A connection of uvicorn with limits on the head of a request. uvicorn has limits for idle connections alone.

    A head is counted twice: what the parser has read of it, which is exact, and the bytes that came since its beginning, because
    the parser keeps the first part of a header to itself.

    A request to go on in another protocol is ignored, as RFC 9110 (section 7.8) allows: Java's client asks for HTTP/2 in this way.
    The parser would take the body for the other protocol, so it does not see the header ``Upgrade``.
    """

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._came = self._read = 0
        self._in_head = True
        self._in_trailers = False
        """True from the size of a part of a body on, until its first byte comes: the last part has none."""
        self._in_message = False
        self._broken = False
        self._last = b""
        """The last bytes that came of a message."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return
        if self._in_head or self._in_trailers:
            self._came += len(data)
        super().data_received(self._without_upgrade(data))
        if (self._in_head or self._in_trailers) and self._came > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(TOO_LARGE)

    def _without_upgrade(self, data: bytes) -> bytes:
        """Return what came, with another name for the header ``Upgrade`` of a head. The name may have begun earlier."""
        before, self._last = self._last, (self._last + data)[-len(b"\r\nupgrad") :]
        if self._in_message and not self._in_head:
            return data
        head, end, body = (before + data).partition(END_OF_HEAD)
        return (UPGRADE.sub(b"ignored", head) + end + body)[len(before) :]

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and close the connection.

        A client reads answers in the order of its requests. So nothing is said while an earlier request waits for its answer: it is
        answered, and the connection closes after it.
        """
        waits = self.cycle is not None and not self.cycle.response_complete
        if waits and (self._in_head or not self._in_message):
            self._broken, self.cycle.keep_alive = True, False
            self._unset_timer()
        elif self.pipeline:  # this one is answered in its turn, with 408, because its body never ends
            self._broken = True
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._in_trailers, self._came, self._read, self._in_message = True, False, 0, 0, True
        self._set_timer()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Those after a body are dropped: the request is routed and its access checked by then."""
        self._count(len(name) + len(value))
        if self._in_head:
            super().on_header(name, value)

    def on_chunk_header(self) -> None:
        self._in_trailers, self._came, self._read = True, 0, 0

    def on_body(self, body: bytes) -> None:
        self._in_trailers = False
        super().on_body(body)

    def _count(self, size: int) -> None:
        """Count what was read of a head. An error here makes the parser refuse the request."""
        self._read += size
        if self._read > HEAD_BYTES:
            raise ValueError(TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unset_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message, self._in_trailers, self._last = False, False, b""
        self._unset_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give the client some seconds for the rest of a body whose request is answered already, such as a refused one."""
        super().on_response_complete()
        if self._in_message and self.cycle.response_complete:
            self._set_timer()

    def _set_timer(self) -> None:
        self._unset_timer()
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
