"""Tests of ``python -m manygate``: it is the command, with its exit codes."""

from __future__ import annotations

import subprocess
import sys

import manygate


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "manygate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_it_is_the_command_of_the_package():
    result = run("--version")
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, manygate.__version__, "")


def test_bad_input_has_the_exit_code_of_the_command():
    result = run("dataset", "nothing")
    assert result.returncode == 2
    assert result.stderr.startswith("manygate: Unknown command")
