"""Servers of exported models: in this process, and as processes of their own."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from starlette.testclient import TestClient

import manygate
from exported import draw, funnel_log
from manygate.config.serve_settings import ServeConfig
from manygate.serving.app import make_app
from manygate.serving.feeds import Inputs
from manygate.serving.log import Log
from manygate.serving.service import Service
from manygate.serving.versions import Versions

PATIENCE = 60.0
INPUTS = Inputs(
    {
        "inputs": [
            {"name": "x", "feature": "x", "kind": "sparse", "type": "int64", "missing": 0},
            {"name": "tags", "feature": "tags", "kind": "bag", "type": "string", "mask": "tags.mask"},
            {"name": "user", "feature": "user", "kind": "sparse", "type": "string", "missing": 0, "context": True},
        ],
        "missing": {"name": "missing", "features": ["x"]},
        "context": {"row": "row", "missing": "context.missing", "features": ["user"]},
    }
)
"""An id and a list of rows, and an id of contexts."""


def service_of(folder: Path, token: str | None = None, **settings: Any) -> Service:
    """A server without its socket. Its log is a buffer."""
    config = ServeConfig(**settings)
    return Service(Versions(folder, config, 1), config, token, Log(config.log_level, io.BytesIO()))


def lines_of(service: Service) -> list[dict[str, Any]]:
    """The lines of a server's log."""
    stream = service.log.stream
    assert isinstance(stream, io.BytesIO)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@contextmanager
def client_of(service: Service) -> Iterator[TestClient]:
    """A client of a server that has started."""
    with TestClient(make_app(service), raise_server_exceptions=False) as client:
        yield client


def funnel_rows(rows: int = 24) -> pa.RecordBatch:
    """Rows of the model of the fixture ``exported``."""
    columns = funnel_log() | {"other": draw([1.0, 2.0], pa.float64(), 3)}
    return pa.record_batch({name: values.slice(0, rows) for name, values in columns.items()})


def as_json(batch: pa.RecordBatch, features: list[str]) -> dict[str, list[Any]]:
    """The features of rows as the candidates of a request."""
    return {name: [plain(value) for value in batch.column(name).to_pylist()] for name in features}


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


class Process:
    """A server as a process of its own."""

    def __init__(self, *arguments: str | Path, **environment: str):
        command = [sys.executable, "-m", "manygate", "serve", *map(str, arguments), "--port", "0"]
        source = Path(manygate.__file__).parents[1]
        paths = os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths, **environment}
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline().decode()
        self.url = next((word for word in said.split() if word.startswith("http")), "")

    def __enter__(self) -> Process:
        if not self.url:
            raise AssertionError(self.end())
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                if self.get("/v2/health/ready")[0] == 200:
                    return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the server is not ready: {self.end()}")

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def get(self, path: str) -> tuple[int, Any]:
        """The status and the content of a path."""
        return self._ask(urllib.request.Request(self.url + path))

    def post(self, path: str, tree: Any) -> tuple[int, Any]:
        """The status and the content of an answer to a body in JSON."""
        return self._ask(urllib.request.Request(self.url + path, json.dumps(tree).encode()))

    def _ask(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal. Return the exit code and what was written on stderr."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err.decode()
