"""The rows of a part of a log, wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np

from manygate.data.row_files import RowFiles
from manygate.data.rows import Rows


class LogRows(Protocol):
    """The encoded rows of a part of a log: :class:`Rows` in memory, or :class:`manygate.data.row_files.RowFiles`.

    What reads whole arrays needs memory for them. What goes through ``chunks`` needs memory for one block alone, and computes
    the same from rows in memory and rows in files.
    """

    def __len__(self) -> int: ...

    @property
    def id_BS(self) -> np.ndarray: ...  # noqa: N802

    @property
    def number_BM(self) -> np.ndarray: ...  # noqa: N802

    @property
    def bags(self) -> list[tuple[np.ndarray, np.ndarray]]: ...

    @property
    def label_BT(self) -> np.ndarray: ...  # noqa: N802

    @property
    def weight_BT(self) -> np.ndarray: ...  # noqa: N802

    @property
    def group_B(self) -> np.ndarray | None: ...  # noqa: N802

    @property
    def groups(self) -> np.ndarray | None: ...

    @property
    def groupless(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """The memory that the rows take."""

    @property
    def files(self) -> RowFiles | None:
        """The rows as files, or None if they are in memory."""

    def chunks(self) -> Iterator[Rows]:
        """Yield all rows in order, at most a block at a time."""

    def label_chunks(self) -> Iterator[Rows]:
        """Yield the labels, weights and groups of all rows in order: rows of no feature."""

    def loaded(self) -> Rows:
        """Return all rows in memory. Raises :class:`manygate.errors.InputError` if they do not fit."""

    def part(self, start: int, stop: int) -> Rows:
        """Return some rows that follow one another."""

    def where(self, keep_B: np.ndarray) -> Rows:
        """Return the rows for which ``keep_B`` is true."""

    def changed(self, change: Callable[[int, Rows], Rows]) -> LogRows:
        """Return other rows, made block by block. ``change`` gets the number of the block's first row, and its rows."""


def groupless_warnings(group: str | None, parts: Mapping[str, LogRows]) -> list[str]:
    """Say how many rows have no group, and what follows; nothing where all have one. ``parts`` are rows by what they are.

    >>> from manygate.data.rows import NO_GROUP
    >>> empty = np.zeros((2, 0))
    >>> groupless_warnings("user", {"test": Rows(empty, empty, [], empty, empty, np.array([7, NO_GROUP], np.uint64))})[0][:53]
    "group column 'user' is null in 1 of 2 test rows: GAUC"
    """
    counts = [f"{rows.groupless:,} of {len(rows):,} {part} rows" for part, rows in parts.items() if rows.groupless]
    if not counts:
        return []
    return [
        f"group column {group!r} is null in {' and '.join(counts)}: GAUC leaves these rows out, and for intervals each is a "
        "group of its own."
    ]
