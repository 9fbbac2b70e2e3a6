"""Several workers on one socket."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from exported import Exported
from served import Process, as_json, funnel_rows


def children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_workers_answer_together_are_revived_and_end_together(exported: Exported) -> None:
    tree = {"candidates": as_json(funnel_rows(3), exported.model.features)}
    with Process(exported.folder, "--workers", "2", "--drain", "0.1", "--threads", "1") as server:
        answers = [server.post("/v1/rank", tree) for _ in range(8)]
        assert {status for status, _ in answers} == {200}
        assert len({str(tree) for _, tree in answers}) == 1
        workers = children(server.process.pid)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        until = time.monotonic() + 60
        while time.monotonic() < until and (len(children(server.process.pid)) < 2 or workers[0] in children(server.process.pid)):
            time.sleep(0.05)
        revived = children(server.process.pid)
        assert len(revived) == 2
        assert workers[0] not in revived
        assert server.post("/v1/rank", tree)[0] == 200
        code, err = server.end()
    assert code == 0, err
    assert re.search(r'"event":"worker died".*"code":-9', err)
    assert not any(Path(f"/proc/{pid}").exists() for pid in revived)


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
