"""What data says cannot steer the terminal, and streams may be closed, full or poor in characters."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import manygate
from manygate.cli.screen import Grid, Text, print_json, say, show_points
from manygate.training.progress import open_progress

HOSTILE = (
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "a\x08b",
    "\x7f",
    "\u202egpj.exe",
    "\u2066",
    "\u2028",
    "\x00",
    "\udc80",
)
STEERS = set("\x00\x07\x08\r\x1b\x7f\x9b\u202e\u2066\u2028\udc80")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_steers_the_terminal(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    say(f"wrote {name}")
    say(f"wrote {name}", error=True)
    for mode in ("plain", "rich"):
        progress = open_progress(mode)
        progress.say(f"epoch of {name}")
        progress.start(f"[bold]{name}", 10)
        progress.finish()
    Console(file=(file := io.StringIO()), force_terminal=True).print(Text(name).append(name, style="bold"))
    out, error = capsys.readouterr()
    assert not STEERS & set(out + error)
    assert file.getvalue().count("\x1b") == 2, "the two of rich around what is bold"
    assert not (STEERS - {"\x1b"}) & set(file.getvalue())


@pytest.mark.parametrize("name", HOSTILE)
def test_json_loses_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({name: [name]})
    out = capsys.readouterr().out
    assert not STEERS & set(out)
    assert json.loads(out) == {name: [name]}


def test_a_name_forges_no_line_of_a_table() -> None:
    grid = Grid("column", "why")
    grid.add_row(Text("x\nmanygate: all is well", style="bold"), Text("a"))
    Console(file=(file := io.StringIO()), width=80).print(grid)
    assert "x\\nmanygate: all is well" in file.getvalue()


def test_the_further_lines_of_a_point_are_indented(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    show_points(["one two three", "four"])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == ["- one two", "  three", "- four"]
    show_points([])
    assert capsys.readouterr().out == ""


def test_ordinary_words_stay() -> None:
    assert Text("caf\u00e9 \u65e5\u672c \U0001f600\n\tx").plain == "caf\u00e9 \u65e5\u672c \U0001f600\n\tx"


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
    folder = tmp_path_factory.mktemp("screen")
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


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_lacks_characters_shows_escapes(table: Path, encoding: str) -> None:
    code, out, _ = call("manygate schema log.csv --task click", table, PYTHONIOENCODING=encoding)
    assert code == 0
    assert "\\u2603" in out


def test_commands_print_nothing_past_the_screen() -> None:
    folder = Path(manygate.__file__).parent / "cli"
    bare = {
        path.name for path in folder.glob("*.py") if re.search(r"(?<![\w.])print\(|rich\.text", path.read_text(encoding="utf-8"))
    }
    assert bare == {"screen.py"}
