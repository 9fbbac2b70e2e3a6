"""Fingerprints: the same rows give the same digest in every form and in any batches; one other value gives another digest."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.data.fingerprint import TableFingerprint, type_word
from manygate.data.table import open_table
from manygate.results.log_record import ColumnRecord, LogRecord, TableRecord
from tables import write_csv

ROWS: dict[str, list[Any]] = {
    "user": ["a", "bé", "", "NA", "07"],
    "price": [1.5, None, -2.0, 1e300, 0.1],
    "count": [1, 2, 3, 4, -5],
    "day": [
        dt.datetime(2020, 1, 1),
        dt.datetime(1960, 2, 3, 4, 5),
        dt.datetime(2020, 1, 1, 0, 0, 1),
        dt.datetime(2030, 1, 1),
        dt.datetime(2031, 1, 1),
    ],
}
LOG = pa.table(ROWS)


def columns(source: Any, rows: int = 131_072) -> list[ColumnRecord]:
    fingerprint, table = TableFingerprint(), open_table(source)
    for _, batch in table.batches(rows=rows):
        fingerprint.add(batch)
    assert fingerprint.record("train", table).rows == fingerprint.rows
    return fingerprint.columns()


FILES = {
    "log.parquet": lambda table, path: pq.write_table(table, path, row_group_size=2),
    "log.feather": feather.write_feather,
    "log.csv": lambda table, path: write_csv(table.set_column(0, "user", pa.array(["a", "bé", "", "NA", "07"])), path),
}


@pytest.mark.parametrize("name", ["log.parquet", "log.feather"])
def test_a_file_has_the_fingerprint_of_the_table_in_memory(tmp_path: Path, name: str) -> None:
    FILES[name](LOG, tmp_path / name)
    assert columns(tmp_path / name) == columns(LOG) == columns(tmp_path / name, rows=1)


def test_csv_has_the_fingerprint_of_parquet_where_the_types_are_the_same(tmp_path: Path) -> None:
    """Whole numbers, fractions, text and times; CSV cannot tell an empty string from null."""
    table = LOG.set_column(0, "user", pa.array(["a", "bé", None, "NA", "x"]))
    write_csv(table, tmp_path / "log.csv")
    assert columns(tmp_path / "log.csv") == columns(table)


FRAMES = {
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas with pyarrow types": lambda: LOG.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda: pl.DataFrame(ROWS),
    "polars lazy": lambda: pl.LazyFrame(ROWS),
    "narrow types": lambda: LOG.set_column(0, "user", LOG["user"].cast(pa.large_string())),
    "categories": lambda: LOG.set_column(0, "user", LOG["user"].combine_chunks().dictionary_encode()),
    "nanoseconds": lambda: LOG.set_column(3, "day", LOG["day"].cast(pa.timestamp("ns"))),
    "seconds": lambda: LOG.set_column(3, "day", LOG["day"].cast(pa.timestamp("s"))),
    "whole numbers as fractions": lambda: LOG.set_column(2, "count", pa.array([1.0, 2.0, 3.0, 4.0, -5.0])),
    "NaN for null": lambda: LOG.set_column(1, "price", pa.array([-np.nan if v is None else v for v in ROWS["price"]])),
    "a slice": lambda: pa.concat_tables([LOG, LOG, LOG]).combine_chunks().slice(5, 5),
    "chunks": lambda: pa.concat_tables([LOG.slice(0, 1), LOG.slice(1, 3), LOG.slice(4)]),
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_form_of_the_same_rows_has_the_same_fingerprint(name: str) -> None:
    record, other = (
        LogRecord.of([TableRecord(part="train", name="", paths=[], rows=5, columns=columns(source))])
        for source in (LOG, FRAMES[name]())
    )
    assert record.differences(other) == []
    assert record.contents() == other.contents()
    assert record.tables[0].same_rows(other.tables[0])


KINDS: dict[str, pa.Array] = {
    "int8": pa.array([1, 0, None, 1], pa.int8()),
    "uint64": pa.array([2**64 - 1, 1, None, 0], pa.uint64()),
    "bool": pa.array([True, False, None, True]),
    "float16": pa.array(np.array([1, 2, 3, 4], np.float16)),
    "float32": pa.array([1.5, None, 0.1, -0.0], pa.float32()),
    "text": pa.array(["a", None, "", "ab"]),
    "binary": pa.array([b"a", None, b"", b"\x00"]),
    "decimal": pa.array([1, 2, None, 4], pa.decimal128(9, 2)),
    "date32": pa.array([1, 2, None, 4], pa.date32()),
    "date64": pa.array([dt.date(2020, 1, 1), None, dt.date(2021, 1, 1), dt.date(1900, 1, 1)], pa.date64()),
    "time32": pa.array([1, 2, None, 4], pa.time32("s")),
    "time64": pa.array([1, 2, None, 4], pa.time64("us")),
    "duration": pa.array([1, 2, None, 4], pa.duration("ms")),
    "timestamp": pa.array([-1, 2, None, 4], pa.timestamp("ms", "UTC")),
    "fixed binary": pa.array([b"ab", None, b"cd", b"ef"], pa.binary(2)),
    "list of int": pa.array([[1, 2], None, [], [3]], pa.list_(pa.int32())),
    "list of text": pa.array([["a", None], [], None, ["b"]]),
    "list of lists": pa.array([[[1], []], None, [], [[2, 3]]]),
    "struct": pa.array([{"a": 1}, None, {"a": 2}, {"a": None}]),
    "map": pa.array([[("a", 1)], None, [], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "null": pa.nulls(4),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_has_a_fingerprint_of_its_values_in_their_order(kind: str) -> None:
    values = KINDS[kind]
    table = pa.table({"x": values})
    whole = columns(table)
    assert whole == columns(table, rows=1) == columns(pa.table({"x": pa.concat_arrays([values, values])}).slice(4), rows=3)
    for row in range(len(values)):
        for other in range(len(values)):
            changed = values.take(pa.array([other if i == row else i for i in range(len(values))]))
            assert (columns(pa.table({"x": changed})) == whole) == (changed.to_pylist() == values.to_pylist()), (row, other)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (["ab", "c"], ["a", "bc"]),
        (["", None], [None, ""]),
        ([[1, 2], [3]], [[1], [2, 3]]),
        ([[], None], [None, []]),
        ([0, None], [None, 0]),
        ([2**53 + 1], [2**53]),
        ([-(2**53) - 1], [-(2**53)]),
        ([2**53 + 1, 2**53], [2**53, 2**53 + 1]),
        ([2**63 - 1], [2**63 - 2]),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([2**64 - 2], pa.uint64())),
        ([0, 0], [None, 0]),
        ([1.0, None], [None, 1.0]),
        ([dt.datetime(2020, 1, 1)], [dt.datetime(2020, 1, 1, 0, 0, 0, 1)]),
        ([["a"], []], [["a", None], []]),
    ],
)
def test_values_that_look_alike_in_memory_differ(one: Any, two: Any) -> None:
    assert columns(pa.table({"x": one})) != columns(pa.table({"x": two}))


def test_the_last_of_many_rows_counts() -> None:
    value_N = np.arange(1_200_000)
    one = columns(pa.table({"x": value_N}))
    value_N[-1] += 1
    assert columns(pa.table({"x": value_N})) != one


def test_a_type_has_one_word() -> None:
    assert len({type_word(kind) for kind in (pa.int8(), pa.uint64())}) == 1
    assert len({type_word(kind) for kind in (pa.float32(), pa.float64())}) == 1
    words = [type_word(kind) for kind in (pa.int8(), pa.float32(), pa.string(), pa.bool_(), pa.binary(), pa.date32())]
    assert len(set(words)) == len(words)
    assert type_word(pa.timestamp("us")) != type_word(pa.timestamp("us", "UTC"))


VALUES = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.text(max_size=5),
        st.none() | st.lists(st.none() | st.text(max_size=2), max_size=3),
    ),
    min_size=1,
    max_size=12,
)
KIND = pa.schema([("i", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("l", pa.list_(pa.string()))])


@given(rows=VALUES, cuts=st.lists(st.integers(0, 12)), row=st.integers(0, 11), column=st.integers(0, 3), data=st.data())
@settings(max_examples=60, deadline=None)
def test_batches_do_not_matter_and_a_change_does(rows: list[Any], cuts: list[int], row: int, column: int, data: Any) -> None:
    def table(values: list[Any]) -> pa.Table:
        return pa.table(
            {name: pa.array(list(v), KIND.field(name).type) for name, v in zip(KIND.names, zip(*values, strict=True), strict=True)}
        )

    whole = table(rows)
    bounds = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    parts = TableFingerprint()
    for first, last in zip(bounds, bounds[1:], strict=False):
        for batch in whole.slice(first, last - first).combine_chunks().to_batches():
            parts.add(batch)
    assert parts.columns() == columns(whole)
    changed = [list(values) for values in rows]
    other = data.draw(VALUES)[0][column]
    changed[row % len(rows)][column] = other
    assert (columns(table(changed)) == columns(whole)) == (repr(changed) == repr([list(v) for v in rows]))
