"""Runs several workers: processes that accept connections on one socket. A worker that dies is started again.

Each worker maps the same weights into memory, so they are there once.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from manygate.config.serve_settings import ServeConfig
from manygate.serving.log import Log
from manygate.serving.server import GRACE, run

VARIABLE = "MANYGATE_SERVING"
"""The environment variable that gives a worker its folder and its settings."""
PAUSE, REVIVE = 0.1, 1.0
"""The seconds between looks at the workers, and those before a worker that died is started again."""


class Workers:
    """Starts workers, and ends them together.

    Args:
        folder: The exported model.
        settings: Settings of the server.
        listener: The socket on which they accept.
        log: Where lines of the log go.
    """

    def __init__(self, folder: Path, settings: ServeConfig, listener: socket.socket, log: Log):
        self.folder, self.settings, self.listener, self.log = folder, settings, listener, log
        self.ending: int | None = None
        """The signal that ends the server, once it has come."""
        self.processes: list[subprocess.Popen[bytes]] = []
        self._died: dict[int, float] = {}
        """When workers died that are not started again yet, by their place."""

    def run(self) -> None:
        """Keep the workers alive until a signal ends the server."""
        handlers = {number: signal.signal(number, self._end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with tempfile.TemporaryDirectory(prefix="manygate-") as measures:
                self.processes = [self._start(measures) for _ in range(self.settings.workers)]
                while self.ending is None:
                    time.sleep(PAUSE)
                    self._revive(measures)
                self.listener.close()  # the port closes with the last worker, which answers those who wait there
                self._signal(self.ending)
                self._wait()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _start(self, measures: str) -> subprocess.Popen[bytes]:
        settings = self.settings.model_dump(mode="json", exclude_defaults=True)
        about = json.dumps({"folder": str(self.folder), "settings": settings, "socket": self.listener.fileno()})
        environment = {**os.environ, VARIABLE: about, "PROMETHEUS_MULTIPROC_DIR": measures}
        command = [sys.executable, "-m", "manygate.serving.workers"]
        return subprocess.Popen(command, env=environment, pass_fds=[self.listener.fileno()])

    def _revive(self, measures: str) -> None:
        """Start workers in place of those that died."""
        for place, process in enumerate(self.processes):
            code = process.poll()
            if code is None:
                continue
            if place not in self._died:
                self.log.write("error", "worker died", process=process.pid, code=code)
                self._died[place] = time.monotonic()
            elif time.monotonic() - self._died[place] >= REVIVE:
                self.processes[place] = self._start(measures)
                del self._died[place]

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.ending is not None:
            self._signal(number)  # a second signal ends them at once
        self.ending = number

    def _signal(self, number: int) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    def _wait(self) -> None:
        """Wait until all workers have ended. One that does not end in time is killed."""
        until = time.monotonic() + self.settings.drain + self.settings.deadline + 2 * GRACE
        for process in self.processes:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.log.write("error", "worker killed", process=process.pid)
                process.kill()
                process.wait()


def work() -> None:
    """Be a worker: answer on the socket that the parent passed."""
    about = json.loads(os.environ.pop(VARIABLE))
    listener = socket.socket(fileno=about["socket"])
    listener.setblocking(False)
    run(Path(about["folder"]), ServeConfig.model_validate(about["settings"]), listener)


if __name__ == "__main__":
    work()
