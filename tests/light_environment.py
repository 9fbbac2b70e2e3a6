"""The page that says how the server is put into a container, and the environment that its lines make."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "questions" / "container.md").read_text(encoding="utf-8")
SILENT = re.compile(r"(?i)connection|timed? ?out|name resolution|temporary failure|no matching distribution|network|proxy|SSLError")
"""Words of pip when the package index does not answer, or lacks a package."""


class Environment(NamedTuple):
    """A virtual environment with manygate-serving alone, and the wheel that it was installed from."""

    python: Path
    wheel: Path

    def packages(self) -> set[str]:
        """The packages that are installed."""
        listed = pip(self.python, "list", "--format=json")
        return {package["name"].lower() for package in json.loads(listed.stdout)}


def pip(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the pip of this environment for another one, which then needs none of its own."""
    command = [sys.executable, "-m", "pip", "--python", str(python), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def pip_lines() -> list[list[str]]:
    """The arguments of pip in the lines of the Containerfile."""
    found = re.findall(r"^RUN python -m pip ([^&\n]+)", PAGE, re.M)
    return [line.split() for line in found]


def container_command(kind: str) -> list[str]:
    """The words of a line such as ENTRYPOINT of the Containerfile."""
    match = re.search(rf"^\s*{kind} (\[.*\])$", PAGE, re.M)
    assert match, f"no {kind} on the page"
    return list(json.loads(match[1]))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Build and install as the page says. Skips if the package index does not answer."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True, timeout=120)
    python = folder / "venv" / "bin" / "python"
    for line in pip_lines():
        words = [word.replace("/source", str(ROOT)).replace("/wheels", str(folder / "wheels")) for word in line]
        words = [word for word in words if word != "--no-cache-dir"]  # it keeps an image small, and a test slow
        done = pip(python, *words, "--retries", "1", *(["--no-compile"] if words[0] == "install" else []))
        if done.returncode and SILENT.search(done.stderr):
            pytest.skip(f"the package index does not answer: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    return Environment(python, next((folder / "wheels").glob("*.whl")))
