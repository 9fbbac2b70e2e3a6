"""Writes to the terminal: names and values come from data, and none of their characters may steer it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any, Self

from rich.console import Console, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text as RichText

from manygate.errors import InputError, os_reason
from manygate.text import printable

_ESCAPED_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class Text(RichText):
    """Text of rich, without characters that steer a terminal."""

    def __init__(self, text: str = "", style: str | Style = "", **more: Any):
        super().__init__(printable(text), style, **more)

    def append(self, text: Any, style: Any = None) -> Self:
        super().append(printable(text) if isinstance(text, str) else text, style)
        return self


class Grid(Table):
    """A table of rich in which each cell is a line: a name with a line feed cannot forge a line of its own."""

    def add_row(self, *cells: RenderableType | None, **more: Any) -> None:
        super().add_row(*(_one_line(cell) for cell in cells), **more)


def _one_line(cell: RenderableType | None) -> RenderableType | None:
    if not isinstance(cell, RichText) or "\n" not in cell.plain:
        return cell
    return Text(cell.plain.replace("\n", "\\n"), cell.style)


def say(text: str, error: bool = False) -> None:
    """Print a line on stdout, or on stderr.

    >>> say("wrote \\x1b[2J.csv")
    wrote \\x1b[2J.csv
    """
    print(printable(text), file=sys.stderr if error else sys.stdout)


def print_json(tree: Any) -> None:
    """Print one JSON object on stdout. Characters that steer a terminal stand as escapes of JSON, which lose nothing.

    >>> print_json({"\\x9b2J": "\\x1b"})
    {"\\u009b2J": "\\u001b"}
    """
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False)
    print(_ESCAPED_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def show_warnings(warnings: Sequence[str]) -> None:
    """Print what a user must know to stderr, with flags where Python has arguments."""
    for warning in warnings:
        say(f"warning: {InputError(warning).for_command_line()}", error=True)


def prepare_streams() -> None:
    """Make stdin, stdout and stderr safe to use: they may be closed, and their encoding may lack characters.

    Without this a file that is opened later would get the number of a closed stream, and what a library prints would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def flush_streams() -> None:
    """Write out what is still in memory. Raises :class:`InputError` if that fails, and BrokenPipeError if nobody reads on."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError as error:
            _discard(stream)
            if isinstance(error, BrokenPipeError):
                raise
            raise InputError(f"the output cannot be written {os_reason(error)}") from None


def discard_output() -> None:
    """Let everything that is still printed go nowhere, since nobody reads it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            _discard(stream)


def _discard(stream: IO[str]) -> None:
    handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, stream.fileno())
    os.close(handle)


def open_console() -> Console:
    """Return a console on stdout that changes nothing in what it prints."""
    return Console(highlight=False, markup=False, emoji=False)


def grid(title: str, *columns: str) -> Table:
    """Return a table without lines. The first column is aligned to the left, the others to the right."""
    table = Grid(title=Text(title), title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if i == 0 else "right", overflow="fold", no_wrap=i == 0)
    return table


def show_points(lines: Iterable[str], style: str = "") -> None:
    """Print sentences as a list. The further lines of a long sentence are indented."""
    for line in lines:
        table = Grid.grid(padding=(0, 1, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(Text("-", style=style), Text(line, style=style))
        open_console().print(table)


def show_note(note: str | None) -> None:
    """Print a note below a table, if there is one."""
    if note:
        open_console().print(Text(note, style="dim"))


def number_cell(value: float | None) -> Text:
    """Return a cell with four decimals.

    >>> number_cell(0.71234).plain, number_cell(None).plain
    ('0.7123', 'undefined')
    """
    return Text("undefined" if value is None else f"{value:.4f}")
