"""Which rows are looked at, and the segments of a column."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest

from manygate.errors import InputError
from manygate.inspection.sample import read_sample, segments_of


def names(column: pa.Array) -> list[tuple[str, int]]:
    return [(name, int(rows.sum())) for name, rows in segments_of(column)]


def test_the_largest_segments_come_first_and_at_most_ten():
    column = pa.array([f"c{i}" for i in range(15) for _ in range(i + 1)])
    found = names(column)
    assert len(found) == 10
    assert found[0] == ("c14", 15)
    assert found[-1] == ("c5", 6)


def test_numbers_that_name_things_are_segments_and_null_is_one():
    assert names(pa.array([3, 3, 1, None, None, None])) == [("null", 3), ("3", 2), ("1", 1)]
    assert names(pa.array([True, False, True])) == [("true", 2), ("false", 1)]


def test_fractions_and_times_are_cut_in_parts_of_equal_size():
    column = pa.array([*np.arange(20) / 2, None, float("nan")])
    found = segments_of(column)
    assert [(name, int(rows.sum())) for name, rows in found] == [
        ("0 to 1.5", 4),
        ("2 to 3.5", 4),
        ("4 to 5.5", 4),
        ("6 to 7.5", 4),
        ("8 to 9.5", 4),
        ("null", 2),
    ]
    assert np.sum([rows for _, rows in found], axis=0).tolist() == [1] * 22
    days = pa.array([datetime.datetime(2025, 1, 1) + datetime.timedelta(hours=h) for h in range(50)])
    assert names(days)[0] == ("2025-01-01 00:00:00 to 2025-01-01 09:00:00", 10)


def test_few_fractions_are_segments_of_their_own():
    assert names(pa.array([0.5, 0.5, 1.5])) == [("0.5", 2), ("1.5", 1)]


def test_rows_are_spread_evenly_and_the_same_every_time(encoded, log_table):
    encoder, table = encoded().encoder, log_table()
    name, total, rows, column = read_sample(encoder, table, 50, "session")
    assert (name, total, len(rows)) == ("Table (pyarrow)", 500, 50)
    again = read_sample(encoder, table, 50, "session")[2]
    np.testing.assert_array_equal(rows.id_BS, again.id_BS)
    chosen = np.linspace(0, 499, 50).round().astype(int).tolist()
    assert column.to_pylist() == [table["session"][i].as_py() for i in chosen]
    assert rows.label_BT[:, 0].tolist() == [table["click"][i].as_py() for i in chosen]


def test_a_log_with_fewer_rows_is_looked_at_whole(encoded, log_table):
    assert len(read_sample(encoded().encoder, log_table(), 5_000)[2]) == 500


def test_a_log_whose_rows_are_not_counted_is_counted(encoded, log_table, log_schema, tmp_path):
    schema = log_schema()
    kept = tuple(feature for feature in schema.features if feature.kind != "bag")
    table = log_table().drop(["tags", "codes"])
    encoder = encoded(table, schema.model_copy(update={"features": kept})).encoder
    csv.write_csv(table, tmp_path / "log.csv")
    name, total, rows, column = read_sample(encoder, tmp_path / "log.csv", 20, "country")
    assert (total, len(rows), len(column)) == (500, 20, 20)
    assert name.endswith("log.csv")


def test_a_list_or_an_unknown_column_is_refused(encoded, log_table):
    with pytest.raises(InputError, match="by='tags' holds lists"):
        read_sample(encoded().encoder, log_table(), 50, "tags")
    with pytest.raises(InputError, match=r"'countri' \(named by by\) is missing. Did you mean 'country'"):
        read_sample(encoded().encoder, log_table(), 50, "countri")
