"""Several workers on one socket."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from exported import Exported
from manygate.config.serve_settings import ServeConfig
from manygate.serving import workers
from manygate.serving.log import Log
from served import Process, as_json, funnel_rows


def children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_workers_answer_together_are_revived_and_end_together(exported: Exported) -> None:
    tree = {"candidates": as_json(funnel_rows(3), exported.model.features)}
    with Process(exported.folder, "--workers", "2", "--drain", "0.1", "--threads", "1") as server:
        answers = [server.post("/v1/rank", tree) for _ in range(8)]
        assert {status for status, _ in answers} == {200}
        assert len({str(tree) for _, tree in answers}) == 1
        alive = children(server.process.pid)
        assert len(alive) == 2
        os.kill(alive[0], signal.SIGKILL)
        until = time.monotonic() + 60
        while time.monotonic() < until and (len(children(server.process.pid)) < 2 or alive[0] in children(server.process.pid)):
            time.sleep(0.05)
        revived = children(server.process.pid)
        assert len(revived) == 2
        assert alive[0] not in revived
        assert server.post("/v1/rank", tree)[0] == 200
        code, err = server.end()
    assert code == 0, err
    assert re.search(r'"event":"worker died".*"code":-9', err)
    assert not any(Path(f"/proc/{pid}").exists() for pid in revived)


class Worker:
    """Stands for a process. It ends when it gets a signal, and notes whether the port was open in the parent then."""

    def __init__(self, listener: socket.socket, *arguments: object, **named: object):
        self.listener, self.pid, self.code, self.open = listener, 7, None, list[bool]()

    def poll(self) -> int | None:
        return self.code

    def send_signal(self, number: int) -> None:
        assert number == signal.SIGTERM
        self.open.append(self.listener.fileno() >= 0)
        self.code = 0

    def wait(self, seconds: float) -> None:
        assert self.code == 0, "it was not told to end"


def test_the_port_closes_with_the_last_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent does not keep it open, or connections would wait there that nobody answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(workers.subprocess, "Popen", partial(Worker, listener))
    several = workers.Workers(Path("model"), ServeConfig(workers=2), listener, Log("warning", io.BytesIO()))
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    several.run()
    assert [process.open for process in several.processes] == [[False], [False]]


def test_metrics_are_those_of_all_workers(exported: Exported) -> None:
    import urllib.request

    tree = {"candidates": as_json(funnel_rows(3), exported.model.features)}
    with Process(exported.folder, "--workers", "2", "--drain", "0", "--threads", "1") as server:
        for _ in range(12):
            server.post("/v1/rank", tree)
        text = urllib.request.urlopen(server.url + "/metrics", timeout=60).read().decode()
        code, err = server.end()
    assert code == 0
    assert "Warning" not in err
    assert "manygate_inside 0.0" in text
    assert 'manygate_requests_total{route="rank",status="200"} 12.0' in text
