"""Writes what happens as one line of JSON each, on stderr."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """A log of JSON lines.

    Args:
        level: Lines below it are left out.
        stream: Where the lines go; stderr unless given.
    """

    def __init__(self, level: str = "info", stream: BinaryIO | None = None):
        self.lowest = LEVELS.index(level)
        self.stream = stream or sys.stderr.buffer

    def write(self, level: str, event: str, **about: Any) -> None:
        """Write a line."""
        if LEVELS.index(level) < self.lowest:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = orjson.dumps({"time": time, "level": level, "event": event, **about}, default=str)
        try:
            self.stream.write(line + b"\n")
            self.stream.flush()
        except (OSError, ValueError):  # nobody reads the log any more; requests are answered nevertheless
            self.lowest = len(LEVELS)
