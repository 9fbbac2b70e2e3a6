"""Writes lines to the terminal: names and values come from data, and none of their characters may steer it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import IO, Any

from manygate.errors import InputError, os_reason
from manygate.text import printable

_ESCAPED_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


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
