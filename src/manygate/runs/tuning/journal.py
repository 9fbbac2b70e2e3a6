"""A journal file that processes of one machine, or of machines with a common disk, share as the storage of a study.

A line is one operation of Optuna as JSON, with a checksum. Optuna's own file backend and its dashboard read the same file. Its own
backend is not used to write: after a process was killed while it held Optuna's lock, others wait for 30 seconds, and a line that
was cut off by a kill makes the file unreadable.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, final

from manygate.errors import InputError
from manygate.files import check_regular, reading_file, writing

CHECKSUM = "crc32"
"""The key of a line's checksum. Optuna ignores keys that it does not know."""


@final
class Journal:
    """A backend of ``optuna.storages.JournalStorage``.

    The lock is that of the system, which gives it back when a process is killed. Whoever takes it first removes a line that a
    killed process left unfinished: an operation that was not written in full has not happened.
    """

    def __init__(self, path: Path):
        self.path = path
        self._ends = [0]
        """The position after each line that was read."""
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch()
            check_regular(path)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations. They are on the disk when this returns."""
        content = "".join(_line(log) for log in logs).encode()
        with writing(self.path), self.path.open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            _remove_unfinished(stream)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the operations from a number on. Raises :class:`InputError` for a line that was damaged."""
        with reading_file(self.path), self.path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)  # no line is removed or half written meanwhile
            known = min(log_number_from, len(self._ends) - 1)
            stream.seek(self._ends[known])
            for number, line in enumerate(stream, known):
                if not line.endswith(b"\n"):
                    return  # its writer was killed
                log = self._checked(line, number)
                if number + 1 == len(self._ends):
                    self._ends.append(self._ends[number] + len(line))
                if number >= log_number_from:
                    yield log

    def _checked(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            log: dict[str, Any] = json.loads(line)
            if log.pop(CHECKSUM) == _checksum(log):
                return log
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
        raise InputError(
            f"{self.path}:{number + 1}: this line was damaged or changed after it was written. Restore the file from a good copy."
        )


def _line(log: dict[str, Any]) -> str:
    return json.dumps({**log, CHECKSUM: _checksum(log)}, separators=(",", ":")) + "\n"


def _checksum(log: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(log, separators=(",", ":")).encode())


def _remove_unfinished(stream: IO[bytes], block: int = 4096) -> None:
    """Cut a file after its last line feed, and go to its end."""
    end = stream.seek(0, os.SEEK_END)
    kept = end
    while kept > 0:
        start = max(kept - block, 0)
        stream.seek(start)
        content = stream.read(kept - start)
        if b"\n" in content:
            kept = start + content.rindex(b"\n") + 1
            break
        kept = start
    if kept < end:
        stream.truncate(kept)
    stream.seek(kept)
