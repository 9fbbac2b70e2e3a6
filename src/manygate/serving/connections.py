"""Connections that end if a client is slow to say what it wants, or says too much before it does."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""The seconds in which the head of a request must arrive, and those before a new connection sends anything."""
HEAD_BYTES = 64 * 1024
"""The most bytes of a head: the path and the headers."""


class Connection(HttpToolsProtocol):
    """A connection of uvicorn with limits on the head of a request. uvicorn has limits for idle connections alone."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        self._in_message = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of the request has more than {HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._in_message = True, 0, True
        self._set_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Those after a body are dropped: the request is routed and its access checked by then."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unset_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = False
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
