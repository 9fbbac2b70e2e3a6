"""Writes tables and styled text to the terminal: none of the characters of names and values may steer it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text as RichText

from manygate.text import printable


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
