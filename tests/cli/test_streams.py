"""Streams may be closed, full or poor in characters, and JSON loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from manygate.cli.streams import print_json


@pytest.mark.parametrize("name", ["\x1b[2J", "\x9b31m", "a\rb", "\u202egpj.exe", "\u2028", "\udc80"])
def test_json_loses_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({name: [name]})
    out = capsys.readouterr().out
    assert not set("\x1b\x9b\r\u202e\u2028\udc80") & set(out)
    assert json.loads(out) == {name: [name]}


CALL = "import sys; sys.argv = ['manygate', *sys.argv[1:]]; from manygate.cli.main import main; main()"


def call(shell: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    """Run ``manygate`` in a shell, with its streams as the shell makes them."""
    command = shell.replace("manygate", f'"{sys.executable}" -c "{CALL}"')
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "fault of manygate" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    rows = "\n".join(f"{n % 7},{n % 2},\N{SNOWMAN}{n % 3}" for n in range(60))
    (folder / "log.csv").write_text(f"item,click,\N{SNOWMAN}\n{rows}\n", encoding="utf-8")
    return folder


def test_closed_streams_are_no_fault(table: Path) -> None:
    assert call("manygate schema log.csv --task click --out a.yaml >&- 2>&- <&-", table)[0] == 0
    assert "click" in (table / "a.yaml").read_text(encoding="utf-8")
    code, _, error = call("manygate schema log.csv --task clik >&-", table)
    assert code == 2
    assert "'clik'" in error


def test_a_reader_that_stops_reading_is_no_fault(table: Path) -> None:
    code, out, error = call("set -o pipefail; manygate schema log.csv --task click --json | true", table)
    assert code in (0, 141)
    assert (out, error) == ("", "")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="the system has no full device")
def test_output_that_does_not_fit_is_an_error(table: Path) -> None:
    code, _, error = call("manygate schema log.csv --task click > /dev/full", table)
    assert code == 2
    assert "(No space left on device). Free space" in error


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_lacks_characters_shows_escapes(table: Path, encoding: str) -> None:
    code, out, _ = call("manygate schema log.csv --task click", table, PYTHONIOENCODING=encoding)
    assert code == 0
    assert "\\u2603" in out
