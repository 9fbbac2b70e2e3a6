"""A small log of several days, on each of which new users appear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from manygate.schema import Schema

DAYS, ROWS = 5, 80
"""The days of the log, and the rows of each."""


def day_log(log_table: Callable[..., pa.Table], days: int = DAYS, rows: int = ROWS) -> pa.Table:
    """A log with a time for each row. Rows of different days are mixed. Users of day d have numbers from 5 d to 5 d + 14."""
    table, random = log_table(days * rows), np.random.default_rng(1)
    day = random.permutation(np.repeat(np.arange(days), rows))
    seconds = 86_400 * (20_454 + day) + random.integers(0, 86_400, days * rows)
    user = 5 * day + random.integers(0, 15, days * rows)
    table = table.set_column(table.column_names.index("user"), "user", pa.array(user))
    return table.append_column("time", pa.array(seconds, pa.timestamp("s")))


def day_schema(log_schema: Callable[..., Schema], **changes: object) -> Schema:
    """The schema of the log."""
    return log_schema(**changes).model_copy(update={"time": "time"})
