"""Each day is encoded with what was known by then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from day_logs import day_log, day_schema
from encoders import assert_same_rows
from manygate.data.days import find_days
from manygate.data.encoded import part_columns
from manygate.data.encoded_days import EncodedDay, EncodedDays
from manygate.data.fit import fit_encoder
from manygate.data.rows import UNKNOWN_ROW
from manygate.data.table import open_table


def _encoded(table: pa.Table, schema: Any, config: Any) -> list[EncodedDay]:
    days = find_days(open_table(table), "time")
    return list(EncodedDays(days, schema, config, part_columns(schema, "train")))


def test_the_first_day_fits_the_encoder_and_each_day_adds_its_ids(log_table, log_schema, settings) -> None:
    table, schema, config = day_log(log_table), day_schema(log_schema), settings()
    days = find_days(open_table(table), "time")
    columns = part_columns(schema, "train")
    found = _encoded(table, schema, config)
    assert [day.number for day in found] == [0, 1, 2, 3]
    first = fit_encoder(schema, config, days.batches(0, columns))
    assert (found[3].encoder.scales, found[3].encoder.labels) == (first.scales, first.labels)
    known: set[int] = set()
    for number, day in enumerate(found):
        users = {user for _, batch in days.batches(number, ["user"]) for user in batch["user"].to_pylist()}
        assert day.new["user"] == len(users - known)
        known |= users
        assert set(day.encoder.vocabularies["user"].values.to_pylist()) == known
        ((location, batch),) = days.batches(number, columns)
        assert_same_rows(day.train, day.encoder.encode(batch, location))
        ((location, batch),) = days.batches(number + 1, columns)
        assert_same_rows(day.judged, day.encoder.encode(batch, location, bias=False))
        later = np.array([user not in known for user in batch["user"].to_pylist()])
        np.testing.assert_array_equal(day.judged.id_BS[:, 0] == UNKNOWN_ROW, later)
        assert later.any()


def test_an_id_that_is_rare_on_each_day_gets_a_row_in_the_end(log_table, log_schema, settings) -> None:
    table, schema = day_log(log_table), day_schema(log_schema)
    time = table["time"].combine_chunks().cast(pa.int64()).to_numpy() // 86_400
    user = np.ones(len(table), int)
    for day in np.unique(time):
        user[np.flatnonzero(time == day)[:2]] = 99
    found = _encoded(table.set_column(0, "user", pa.array(user)), schema, settings(min_count=5))
    per_day = [int((day.train.id_BS[:, 0] == UNKNOWN_ROW).sum()) for day in found]
    assert per_day == [2, 2, 0, 0]


def test_no_row_of_a_later_day_changes_how_a_day_is_encoded(log_table, log_schema, settings) -> None:
    table, schema = day_log(log_table), day_schema(log_schema)
    days = find_days(open_table(table), "time")
    time = table["time"].combine_chunks().cast(pa.int64()).to_numpy() // 86_400
    kept = table.filter(pa.array(time <= days.values[2]))
    whole, part = (_encoded(rows, schema, settings()) for rows in (table, kept))
    assert len(part) == 2
    for a, b in zip(whole, part, strict=False):
        assert_same_rows(a.train, b.train)
        assert_same_rows(a.judged, b.judged)


def test_warnings_say_what_held_on_the_first_day_alone(log_table, log_schema, settings) -> None:
    table, schema = day_log(log_table), day_schema(log_schema)
    time = table["time"].combine_chunks().cast(pa.int64()).to_numpy() // 86_400
    weekday = pa.array((time - time.min()).astype(float))
    table = table.set_column(table.column_names.index("age"), "age", weekday)
    days = EncodedDays(find_days(open_table(table), "time"), schema, settings(), part_columns(schema, "train"))
    list(days)
    assert days.warnings == ["on the first day, column 'age' is always 0 in training and teaches nothing."]
