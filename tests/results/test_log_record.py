"""The record of a log: how two logs differ, and when two tables are the same rows."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.errors import InputError
from manygate.results.log_record import ColumnRecord, LogRecord, TableRecord


def table(
    part: str = "train", rows: int = 3, paths: tuple[str, ...] = ("/a/log.parquet",), **columns: tuple[str, str]
) -> TableRecord:
    chosen = columns or {"item": ("text", "1"), "click": ("whole number", "2")}
    entries = [ColumnRecord(name=name, type=kind, digest=digest) for name, (kind, digest) in chosen.items()]
    return TableRecord(part=part, name="log.parquet", paths=list(paths), rows=rows, columns=entries)


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"rows": 4}, "it has 4 rows, and had 3"),
    ({"item": ("text", "1")}, "column 'click' is missing"),
    ({"age": ("fraction", "1")}, "columns item and click are missing; column 'age' is new"),
    (
        {"item": ("whole number", "9"), "click": ("whole number", "2")},
        "column 'item' has the type whole number, and had text",
    ),
    ({"item": ("text", "7"), "click": ("whole number", "2")}, "column 'item' has other values, or its rows in another order"),
    (
        {"item": ("text", "7"), "click": ("whole number", "8")},
        "columns item and click have other values, or rows in another order",
    ),
]


@pytest.mark.parametrize(("changes", "text"), CHANGES)
def test_a_difference_names_rows_columns_types_or_values(changes: dict[str, Any], text: str) -> None:
    assert table().differences(table(**changes)) == text.split("; ")
    assert LogRecord.of([table()]).differences(LogRecord.of([table(**changes)])) == [f"/a/log.parquet: {text}"]


def test_the_same_rows_elsewhere_are_the_same_log() -> None:
    here, there = LogRecord.of([table()]), LogRecord.of([table(paths=("/b/copy.csv",))])
    assert here.differences(there) == []
    assert here.contents() == there.contents()


def test_another_log_is_named_with_the_one_of_training() -> None:
    other = LogRecord.of([table(rows=5, paths=("/b/log.parquet",))])
    assert LogRecord.of([table()]).differences(other) == ["/b/log.parquet (trained on /a/log.parquet): it has 5 rows, and had 3"]
    frame = LogRecord.of([table(rows=4, paths=())])
    assert frame.differences(other)[0].startswith("/b/log.parquet (trained on log.parquet)")


def test_a_table_of_a_part_that_came_or_went_is_a_difference() -> None:
    one, two = LogRecord.of([table()]), LogRecord.of([table(), table("valid", paths=("/v.parquet",))])
    assert one.differences(two) == ["/v.parquet: the run had no table for valid"]
    assert two.differences(one) == ["/v.parquet: the run had a table for valid, and there is none now"]


def test_same_rows_compares_the_columns_that_both_have() -> None:
    assert table().same_rows(table(click=("whole number", "2")))
    assert not table().same_rows(table(click=("whole number", "3")))
    assert not table().same_rows(table(rows=4))
    assert not table().same_rows(table(other=("text", "1"))), "no common column proves nothing"


def test_a_record_goes_to_json_and_back() -> None:
    record = LogRecord.of([table(), table("test")])
    assert LogRecord.from_tree(record.to_tree(), "log.json") == record
    assert record.table("test") == table("test")
    assert record.table("valid") is None
    with pytest.raises(InputError, match=r"log\.json: log_record_version is 2, and this version of manygate reads 1"):
        LogRecord.from_tree({**record.to_tree(), "log_record_version": 2}, "log.json")


def test_the_same_values_in_another_type_are_the_same_rows() -> None:
    """Whole numbers stay the same as fractions, for example where pandas has a null."""
    other = table(item=("text", "1"), click=("fraction", "2"))
    assert table().differences(other) == []
    assert LogRecord.of([table()]).contents() == LogRecord.of([other]).contents()
