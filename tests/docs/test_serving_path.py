"""The README's way from the demo to a ranked answer, run as it stands there."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from command_line import Run
from snippets import ROOT, blocks

SERVE = ROOT / "docs" / "questions" / "serve.md"


def commands() -> list[list[str]]:
    (block,) = [b for b in blocks(ROOT / "README.md") if "manygate serve" in b.text]
    return [shlex.split(line) for line in block.text.splitlines()]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def ask(url: str, body: str) -> Any:
    """Send a request, with curl where it is installed."""
    if shutil.which("curl"):
        return json.loads(subprocess.run(["curl", "-s", url, "-d", body], check=True, capture_output=True).stdout)
    with urllib.request.urlopen(urllib.request.Request(url, body.encode()), timeout=60) as answer:
        return json.loads(answer.read())


@pytest.fixture
def demo(run: Run, tmp_path: Path) -> Path:
    made = run("demo --rows 3000 --replicas 1 --progress none --out runs/demo")
    assert made.code == 0, made.err
    return tmp_path


def test_three_commands_lead_to_a_ranked_answer(demo: Path) -> None:
    export, serve, curl = commands()
    assert (export[0], serve[0], curl[0]) == (".venv/bin/manygate", ".venv/bin/manygate", "curl")
    manygate, port = [sys.executable, "-m", "manygate"], free_port()
    subprocess.run([*manygate, *export[1:]], cwd=demo, check=True, capture_output=True)
    server = subprocess.Popen(
        [*manygate, *(port if word == "8000" else word for word in serve[1:])],
        cwd=demo,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5)
                break
            except OSError:
                time.sleep(0.05)
        answer = ask(curl[1].replace("8000", port), curl[3])
        page = SERVE.read_text(encoding="utf-8")
        shown = ask(curl[1].replace("8000", port), page.partition("-d '")[2].partition("'\n```")[0])
    finally:
        server.terminate()
        _, err = server.communicate(timeout=60)
    assert server.returncode == 0, err
    assert (answer["by"], sorted(answer["ids"])) == ("buy", [7, 28]), answer
    assert answer["scores"]["buy"] == sorted(answer["scores"]["buy"], reverse=True)
    assert (shown["by"], sorted(shown["ids"])) == ("click", [7, 28]), shown
