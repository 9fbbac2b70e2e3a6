"""Refuses to continue a run on another log than the one that it started with."""

from __future__ import annotations

from pathlib import Path

from manygate.errors import InputError, setting
from manygate.results.log_record import LOG_FILE, LogRecord


def check_log(folder: Path, now: LogRecord) -> None:
    """Raise an :class:`InputError` if the rows differ from those that the run in a folder recorded.

    The error lists how each table differs: its rows, columns, types and values. A folder without a record passes: the run has not
    begun, or its checkpoint has the fingerprint of an earlier version, which is refused when it is read.
    """
    path = folder / LOG_FILE
    if not path.is_file():
        return
    differences = LogRecord.read(path).differences(now)
    if differences:
        remedy = f"Restore the log, or start a new run with another {setting('out')}."
        problems = [f"{text}. This is not the log that the run began with, as it was then." for text in differences]
        raise InputError([*problems, f"{folder}: the run cannot continue on other rows. {remedy}"])
