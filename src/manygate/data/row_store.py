"""Gathers the encoded rows of a log's parts: in memory as long as they fit, and else in files.

The files lie in a temporary folder that goes with the process. A process that is killed leaves its folder, and the next
one that writes rows at the same place removes it.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from manygate.data.log_rows import LogRows
from manygate.data.memory import gigabytes
from manygate.data.row_files import RowFilesWriter, free_space
from manygate.data.rows import Rows, RowsBuilder
from manygate.errors import InputError, setting
from manygate.files import locked, writing

MOMENT = 60
"""Seconds in which a new folder may not be locked yet."""


class RowStore:
    """The encoded rows of all parts while they are read.

    Args:
        parts: The names of the parts.
        limit: The most bytes of rows in memory. From there on all rows are in files.
        parent: The folder for the files; None is the system's folder for temporary files.
    """

    def __init__(self, parts: Iterable[str], limit: float, parent: Path | None = None):
        self.limit, self.parent = limit, parent
        self.folder: ScratchFolder | None = None
        self._parts: dict[str, RowsBuilder | RowFilesWriter] = {part: RowsBuilder() for part in parts}
        self._bytes = 0

    @property
    def counts(self) -> dict[str, int]:
        """The rows of each part so far."""
        return {part: builder.count for part, builder in self._parts.items()}

    def add(self, part: str, rows: Rows) -> None:
        """Add the next rows of a part."""
        self._bytes += rows.nbytes
        if self.folder is None and self._bytes > self.limit:
            self.spill()
        self._parts[part].add(rows)

    def spill(self, needed: float = 0.0) -> None:
        """Put the rows so far into files, and all that follow.

        Args:
            needed: The bytes that all rows are known to need, 0 if that is not known.

        Raises:
            InputError: The disk has less free space.
        """
        self.folder = ScratchFolder(self.parent, needed)
        before, self._parts = self._parts, {}
        for part in list(before):
            builder = before.pop(part)
            writer = RowFilesWriter(self.folder.path / part, self.folder)
            for chunk in builder.rows().chunks() if builder.count else ():
                writer.add(chunk)
            self._parts[part] = writer

    def rows(self) -> dict[str, LogRows]:
        """Return the rows of each part, all of which have a row. The store is empty afterwards."""
        return {part: self._parts[part].rows() for part in self._parts}


class ScratchFolder:
    """A new folder for files that this process alone reads. It is removed with the object, or at the end of the process."""

    def __init__(self, parent: Path | None = None, needed: float = 0.0):
        above = Path(tempfile.gettempdir()) if parent is None else parent
        if above.exists() and not above.is_dir():
            raise InputError(f"{setting('rows_folder', above)}: not a folder, but a file. Name a folder for the encoded rows.")
        with writing(above):
            above.mkdir(parents=True, exist_ok=True)
        prefix = f"manygate-rows-{socket.gethostname()}-"
        _remove_left(above, prefix)
        if needed > (free := free_space(above)):
            raise InputError(
                f"{above}: the encoded rows go to files, and these need about {gigabytes(needed)}, of which {gigabytes(free)} "
                f"are free. Name a folder on a larger disk with {setting('rows_folder', 'FOLDER')}, or give "
                "fewer rows."
            )
        with writing(above):
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=above))
        lock = ExitStack()
        lock.enter_context(locked(self.path))
        weakref.finalize(self, _remove, self.path, lock)


def _remove(path: Path, lock: ExitStack) -> None:
    shutil.rmtree(path, ignore_errors=True)
    lock.close()


def _remove_left(parent: Path, prefix: str) -> None:
    """Remove the folders that killed processes of this machine left. Those of living processes are locked, but for a moment."""
    for left in parent.glob(f"{prefix}*"):
        if time.time() - left.stat().st_mtime < MOMENT:
            continue
        try:
            with locked(left):
                shutil.rmtree(left, ignore_errors=True)
        except InputError:
            continue  # its process lives
