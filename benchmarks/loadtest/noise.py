"""What else the machine did during a measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtest.servers import Server

_TICK = os.sysconf("SC_CLK_TCK")


def _busy() -> float:
    """Return the processor seconds of the whole machine, stolen time included."""
    fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICK


@contextmanager
def watched(server: Server | None = None) -> Iterator[dict[str, Any]]:
    """Fill in the cores that neither this process nor the server used, the share of a core of the server, and the load average."""
    found: dict[str, Any] = {}
    began, busy, own = time.perf_counter(), _busy(), sum(os.times()[:2])
    server_before = server.cpu_seconds() if server else 0.0
    yield found
    seconds = time.perf_counter() - began
    of_server = (server.cpu_seconds() if server else 0.0) - server_before
    others = _busy() - busy - (sum(os.times()[:2]) - own) - of_server
    found["cores_of_others"] = round(max(others, 0.0) / seconds, 2)
    found["cores_of_server"] = round(of_server / seconds, 2)
    found["load_average"] = round(os.getloadavg()[0], 2)
