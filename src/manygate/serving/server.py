"""Runs the server in one process: its socket, its TLS and its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError, os_reason, setting
from manygate.serving.access import read_token
from manygate.serving.app import make_app
from manygate.serving.connections import Connection
from manygate.serving.ending import accept_waiting, all_have_begun, take_over
from manygate.serving.log import Log
from manygate.serving.service import Service
from manygate.serving.versions import Versions

BACKLOG = 2048
GRACE = 5.0
"""The seconds beyond the deadline for which the end waits for requests that are inside."""
KEEP_ALIVE = 75
"""The seconds after which an idle connection ends. Load balancers keep connections for a minute, and must end them first."""


class Server(uvicorn.Server):
    """A server that goes on for a while after SIGTERM. Meanwhile ``ready`` says no, and answers end their connections."""

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or end at once after Ctrl-C or a second signal."""
        if self.should_exit:
            self.force_exit = True
        if self.service.draining or sig == signal.SIGINT:
            self.should_exit = True
        self.service.draining = True
        if not self.should_exit:
            asyncio.get_running_loop().call_soon_threadsafe(self._drain)  # a handler of signals must not write the log itself

    def _drain(self) -> None:
        seconds = self.service.settings.drain
        self.service.log.write("info", "draining", seconds=seconds)
        asyncio.get_running_loop().call_later(seconds, self._end)

    def _end(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, answer what clients have sent by then, and end.

        Without this, connections that wait at the port would be reset, and those whose request was not read yet would be closed.
        """
        waiting = [connection for listener in sockets or [] for connection in accept_waiting(listener)]
        for server in self.servers:
            server.close()
        await take_over(waiting, self._protocol, self.config.ssl)
        await all_have_begun(self.server_state.connections)
        await super().shutdown(sockets)

    def _protocol(self) -> Connection:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


class _ToLog(logging.Handler):
    """Writes what uvicorn logs into the log of the server."""

    def __init__(self, log: Log):
        super().__init__()
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "debug"
        self.log.write(level, "http", message=record.getMessage())


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def listen(settings: ServeConfig) -> socket.socket:
    """Return a socket that listens. Raises :class:`InputError` if the port is in use or the address is not this machine's."""
    address = f"{setting('host', settings.host)} {setting('port', settings.port)}"
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError:
        raise InputError(f"{setting('host', settings.host)}: no such address. Give one of this machine's addresses.") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reasons = {
            errno.EADDRINUSE: f"another program listens there. Choose another {setting('port')}.",
            errno.EADDRNOTAVAIL: f"this machine does not have the address. Choose another {setting('host')}.",
            errno.EACCES: f"ports below 1024 need rights. Choose another {setting('port')}.",
        }
        raise InputError(f"{address}: {reasons.get(error.errno or 0, os_reason(error))}") from None
    listener.setblocking(False)
    return listener


def check_tls(settings: ServeConfig) -> None:
    """Raise an :class:`InputError` if the certificate and its key cannot be used."""
    if settings.certificate is None or settings.key is None:
        return
    problems = []
    for name, path in (("certificate", settings.certificate), ("key", settings.key)):
        try:
            path.read_bytes()
        except OSError as error:
            problems.append(f"{setting(name, path)}: cannot be read {os_reason(error)}")
    if problems:
        raise InputError(problems)
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.certificate, settings.key, password=_no_password
        )
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        pair = f"{setting('certificate', settings.certificate)} {setting('key', settings.key)}"
        raise InputError(
            f"{pair}: they cannot be used ({reason}). Give a certificate in PEM, and its own key without a password."
        ) from None


def _no_password() -> str:
    raise ValueError("the key has a password")


def run(folder: Path, settings: ServeConfig, listener: socket.socket, begun: Callable[[], None] = lambda: None) -> None:
    """Answer requests until a signal ends the server. ``begun`` is called when the model is loaded."""
    log = Log(settings.log_level)
    token = read_token(settings)
    threads = settings.threads or max(1, cores() // settings.workers)
    service = Service(Versions(folder, settings, threads), settings, token, log)
    logger = logging.getLogger("uvicorn.error")
    logger.handlers, logger.propagate = [_ToLog(log)], False
    config = uvicorn.Config(
        make_app(service),
        http=Connection,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.connections,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.deadline + GRACE) + 1,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    version = service.versions.current
    log.write("info", "serving", address=address_of(listener, settings), threads=threads, model=service.name, **version.names)
    begun()
    Server(config, service).run(sockets=[listener])
    log.write("info", "ended")


def address_of(listener: socket.socket, settings: ServeConfig) -> str:
    """Return the address of a server, as a browser takes it."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if settings.certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
