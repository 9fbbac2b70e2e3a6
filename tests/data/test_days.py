"""The days of a log: calendar days in UTC, dates, or numbers, and the rows of each from the files that have some."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data.days import MOST_DAYS, find_days
from manygate.data.table import open_table
from manygate.errors import InputError


def _days(values: pa.Array, **others: Any) -> Any:
    return find_days(open_table(pa.table({"time": values, **others})), "time")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_day_of_timestamps_ends_at_midnight_in_utc(unit) -> None:
    midnight = np.datetime64("2026-02-01")
    times = np.array([midnight - np.timedelta64(1, "s"), midnight, midnight + np.timedelta64(86_399, "s")], f"datetime64[{unit}]")
    for kind in (pa.timestamp(unit), pa.timestamp(unit, "Asia/Tokyo")):
        days = _days(pa.array(times.astype(np.int64)).cast(kind))
        assert (days.names, days.rows) == (("2026-01-31", "2026-02-01"), (1, 2))


def test_dates_and_numbers_are_days() -> None:
    assert _days(pa.array([date(2026, 1, 2), date(1969, 12, 31)])).names == ("1969-12-31", "2026-01-02")
    assert _days(pa.array([20260102, 7, 7])).names == ("7", "20260102")
    assert _days(pa.array([1.0, 3.0])).names == ("1", "3")


def test_days_come_in_order_with_their_rows_whatever_the_order_of_the_log() -> None:
    days = _days(pa.array([3, 1, 3, 2, 1]), a=[0, 1, 2, 3, 4])
    rows = [[value for _, batch in days.batches(day, ["a"]) for value in batch["a"].to_pylist()] for day in range(len(days))]
    assert (days.rows, rows) == ((2, 1, 2), [[1, 4], [3], [0, 2]])


def test_files_without_a_row_of_a_day_are_not_read_for_it(tmp_path: Path, monkeypatch) -> None:
    for day in (1, 2, 3):
        (tmp_path / f"day={day}").mkdir()
        pq.write_table(pa.table({"a": [day * 10, day * 10 + 1]}), tmp_path / f"day={day}" / "part.parquet")
    days = find_days(open_table(tmp_path), "day")
    assert days.rows == (2, 2, 2)
    read: list[str] = []
    monkeypatch.setattr("manygate.data.table.Table.batches", _noting(read))
    assert [batch["a"].to_pylist() for _, batch in days.batches(1, ["a"])] == [[20, 21]]
    assert len(read) == 1


def _noting(read: list[str]) -> Any:
    from manygate.data.table import Table

    batches = Table.batches

    def noted(self: Table, *given: Any) -> Any:
        read.append(self.name)
        return batches(self, *given)

    return noted


def test_every_batch_is_shown_with_its_days() -> None:
    seen = []
    find_days(open_table(pa.table({"time": [2, 1], "a": [5, 6]})), "time", ["a"], lambda *given: seen.append(given))
    ((location, batch, day_B),) = seen
    assert (location, batch.column_names, day_B.tolist()) == ("Table (pyarrow), rows 0 to 1", ["a", "time"], [2, 1])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (pa.array([1, None]), "is null in 1 of 2 rows"),
        (pa.array(["2026-01-01"]), "must hold timestamps, dates or numbers"),
        (pa.array(range(MOST_DAYS + 1)), "write instants as timestamps"),
        (pa.array([], pa.int64()), "no rows"),
    ],
)
def test_a_column_without_days_is_refused(values, told) -> None:
    with pytest.raises(InputError, match=told):
        _days(values)


def test_a_column_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="needed to train day by day"):
        find_days(open_table(pa.table({"tme": [1]})), "time")
