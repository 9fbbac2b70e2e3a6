"""What data says cannot steer the terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import manygate
from manygate.cli.screen import Grid, Text, show_points
from manygate.cli.streams import say
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


def test_commands_print_nothing_past_the_screen() -> None:
    folder = Path(manygate.__file__).parent / "cli"
    bare = {
        path.name for path in folder.glob("*.py") if re.search(r"(?<![\w.])print\(|rich\.text", path.read_text(encoding="utf-8"))
    }
    assert bare == {"screen.py", "streams.py"}
