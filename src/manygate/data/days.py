"""The days of a log, and the rows of each.

A day is a calendar day in UTC if the time column has timestamps, a date if it has dates, and a value of its own if it has numbers.
Days without rows do not exist: the next day of a log is the next one that has rows. The rows of a file that has none of a day are
not read for it, so a log with a file, or a folder, for each day is read a few times in all. A log in one file is read once a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from manygate.data.fingerprint import PER_SECOND
from manygate.data.split import time_numbers
from manygate.data.table import Table
from manygate.errors import InputError, setting

MOST_DAYS = 1000
"""A column of numbers with more values than that holds instants and not days."""
SECONDS = 86_400
Located = tuple[str, pa.RecordBatch]
"""The location of a batch, and the batch."""


@dataclass(frozen=True)
class LogDays:
    """The days of a log in order, with the rows of each."""

    column: str
    names: tuple[str, ...]
    rows: tuple[int, ...]
    values: tuple[float, ...]
    """The value of each day, as :func:`day_values` gives it."""
    pieces: tuple[tuple[Table, frozenset[float]], ...]
    """The files, and the days of which each has rows."""

    def __len__(self) -> int:
        return len(self.names)

    def batches(self, day: int, columns: Sequence[str]) -> Iterator[Located]:
        """Yield the rows of a day, given by its number from 0, with some columns."""
        value = self.values[day]
        wanted = list(dict.fromkeys([*columns, self.column]))
        for piece in (table for table, values in self.pieces if value in values):
            for location, batch in piece.batches(wanted):
                inside_B = day_values(batch.column(self.column), self.column, location) == value
                if inside_B.any():
                    yield location, batch.filter(pa.array(inside_B)).select(list(columns))


def find_days(
    table: Table, column: str, columns: Sequence[str] = (), observe: Callable[[str, pa.RecordBatch, np.ndarray], None] | None = None
) -> LogDays:
    """Find the days of a log in one pass over its rows.

    Args:
        table: The log.
        column: The column of times.
        columns: Further columns to read, for ``observe``.
        observe: Called with the location of each batch, the batch, and the day of each row as :func:`day_values` gives it.

    Raises:
        InputError: The column is missing, has nulls or more than :data:`MOST_DAYS` days, or is neither dates nor numbers.

    >>> from manygate.data.table import open_table
    >>> days = find_days(open_table(pa.table({"day": [3, 1, 3], "a": [7, 8, 9]})), "day")
    >>> days.names, days.rows, [batch.to_pydict() for _, batch in days.batches(1, ["a"])]
    (('1', '3'), (1, 2), [{'a': [7, 9]}])
    """
    wanted = list(dict.fromkeys([*columns, column]))
    table.require(wanted, "needed to train day by day")
    table.require_rows()
    counts: dict[float, int] = {}
    pieces = []
    for piece in table.pieces():
        found: set[float] = set()
        for location, batch in piece.batches(wanted):
            value_B = day_values(batch.column(column), column, location)
            values, rows = np.unique(value_B, return_counts=True)
            for value, count in zip(values.tolist(), rows.tolist(), strict=True):
                counts[value] = counts.get(value, 0) + count
            found |= set(values.tolist())
            if len(counts) > MOST_DAYS:
                raise InputError(
                    f"{table.name}: column {column!r} has more than {MOST_DAYS:,} days. Numbers count as days. So write instants "
                    f"as timestamps, or name a column of dates with {setting('time')}."
                )
            if observe is not None:
                observe(location, batch, value_B)
        pieces.append((piece, frozenset(found)))
    order = sorted(counts)
    dated = not (pt.is_integer(kind := table.arrow_schema.field(column).type) or pt.is_floating(kind))
    names = tuple(_name(value, dated) for value in order)
    return LogDays(column, names, tuple(counts[value] for value in order), tuple(order), tuple(pieces))


def day_values(column: pa.Array, name: str, location: str) -> np.ndarray:
    """Return the day of each row: the number of days since 1970 for dates and timestamps, or the number itself.

    Raises :class:`InputError` as :func:`manygate.data.split.time_numbers` does.

    >>> day_values(pa.array([0, 86_399, 86_400, -1], pa.timestamp("s")), "time", "log").tolist()
    [0, 0, 1, -1]
    """
    number_B = time_numbers(column, name, location)
    if pt.is_timestamp(column.type):
        return np.floor_divide(number_B, SECONDS * PER_SECOND[column.type.unit])
    return number_B


def _name(value: float, dated: bool) -> str:
    """Name a day: 2026-01-31, or its number."""
    return str(np.datetime64(int(value), "D")) if dated else f"{value:.15g}"
