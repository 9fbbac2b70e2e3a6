"""Shows the progress of a long run on stderr: a bar in a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Literal, get_args

from manygate.errors import InputError, setting
from manygate.text import printable

ProgressMode = Literal["auto", "rich", "plain", "none"]


class Progress:
    """The base class. It shows nothing."""

    def start(self, title: str, total: int, done: int = 0) -> None:
        """Begin a stage of ``total`` rows. ``done`` of them were processed before."""

    def advance(self, rows: int) -> None:
        """Count ``rows`` further rows as processed."""

    def say(self, text: str) -> None:
        """Show one line of text."""

    def finish(self) -> None:
        """End the stage."""


class PlainProgress(Progress):
    """Prints plain lines for logs. Every ten seconds at most it prints the rate and the time left."""

    def start(self, title: str, total: int, done: int = 0) -> None:
        self.title, self.total, self.done = title, total, done
        self.began = self.last = time.monotonic()
        self.first = done

    def advance(self, rows: int) -> None:
        self.done += rows
        now = time.monotonic()
        if now - self.last >= 10:
            self.last = now
            rate = (self.done - self.first) / max(now - self.began, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            self.say(f"{self.title}: {self.done / max(self.total, 1):.0%}, {rate:,.0f} rows/s, at most {left:.0f} s left")

    def say(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)


class RichProgress(Progress):
    """Shows a bar with the rate and the time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.bar: Any = None

    def start(self, title: str, total: int, done: int = 0) -> None:
        from rich import progress as rp
        from rich.markup import escape

        self.finish()
        self.bar = rp.Progress(
            rp.TextColumn("{task.description}"),
            rp.BarColumn(bar_width=None),
            rp.TaskProgressColumn(),
            rp.TextColumn("{task.fields[rate]}"),
            rp.TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            expand=True,
        )
        self.bar.start()
        self.first, self.done, self.began = done, done, time.monotonic()
        self.task = self.bar.add_task(escape(printable(title)), total=total, completed=done, rate="")

    def advance(self, rows: int) -> None:
        self.done += rows
        rate = (self.done - self.first) / max(time.monotonic() - self.began, 1e-9)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, rate=f"{rate:,.0f} rows/s")

    def say(self, text: str) -> None:
        self.console.print(printable(text), highlight=False, markup=False)

    def finish(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def open_progress(mode: ProgressMode = "auto") -> Progress:
    """Return the progress of a mode. ``auto`` is a bar in a terminal. In CI, with NO_COLOR and elsewhere it is plain lines."""
    if mode not in get_args(ProgressMode):
        raise InputError(f"{setting('progress', mode)}: unknown. Choose {', '.join(get_args(ProgressMode))}.")
    if mode == "auto":
        plain = not sys.stderr.isatty() or os.environ.get("CI") or os.environ.get("NO_COLOR")
        mode = "plain" if plain else "rich"
    return {"rich": RichProgress, "plain": PlainProgress, "none": Progress}[mode]()
