"""Comparisons of columns of every type, with values by hand: exact, and unknown where a side is null."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from manygate.data.comparisons import ComparisonError, comparable, compare_columns, compare_with_constant

NAN = float("nan")
BIG = 2**63
DAYS = pa.array([dt.date(2026, 1, 30), dt.date(2026, 1, 31), None])
TIMES = pa.array([dt.datetime(2026, 1, 31), dt.datetime(2026, 1, 31, 12, 30), None], pa.timestamp("ms"))
ZURICH = pa.array([dt.datetime(2026, 1, 30, 23), dt.datetime(2026, 1, 31, 11, 30), None], pa.timestamp("us", "Europe/Zurich"))
CLOCK = pa.array([dt.time(8), dt.time(12, 30), None], pa.time32("s"))
PRICES = pa.array([Decimal("1.10"), Decimal("-0.05"), None], pa.decimal128(5, 2))
NANOS = pa.array([1_769_817_600_000_000_001, 1_769_817_600_000_000_000, None], pa.timestamp("ns"))
FAR = pa.array([dt.datetime(9999, 12, 31), None], pa.timestamp("s"))


@pytest.mark.parametrize(
    ("column", "operator", "value", "expected"),
    [
        (pa.array([BIG - 1, BIG, BIG + 1], pa.uint64()), "==", BIG, [False, True, False]),
        (pa.array([BIG - 1, BIG, None], pa.uint64()), ">", -1, [True, True, None]),
        (pa.array([2**53, 2**53 + 1, None]), "==", 2**53 + 1, [False, True, None]),
        (pa.array([2**53, 2**53 + 1, None]), ">", Decimal(2**53) + Decimal("0.5"), [False, True, None]),
        (pa.array([1, 2, None], pa.int8()), "<", Decimal("1.5"), [True, False, None]),
        (pa.array([1, 2, None], pa.int8()), "==", Decimal("1.5"), [False, False, None]),
        (pa.array([1, 2, None], pa.int8()), "!=", 300, [True, True, None]),
        (pa.array([1, 2, None], pa.int8()), "<=", 300, [True, True, None]),
        (pa.array([1, 2, None], pa.int8()), "<", -300, [False, False, None]),
        (pa.array([1, 2, None], pa.int8()), "<", Decimal("inf"), [True, True, None]),
        (pa.array([1, 2, None], pa.int8()), "==", Decimal("-inf"), [False, False, None]),
        (pa.array([2.0**53, 2.0**53 + 2]), "==", 2**53 + 1, [False, False]),
        (pa.array([2.0**53, 2.0**53 + 2]), ">=", 2**53 + 1, [False, True]),
        (pa.array([0.1, 0.2], pa.float32()), "==", Decimal("0.1"), [True, False]),
        (pa.array([0.1, 0.2], pa.float32()), ">", Decimal("0.1"), [False, True]),
        (pa.array([16_777_216.0], pa.float32()), "==", 16_777_217, [False]),
        (pa.array([float("inf"), 1.0]), "<", 10**400, [False, True]),
        (pa.array([float("inf"), 1.0]), "==", Decimal("inf"), [True, False]),
        (pa.array([float("-inf"), 1.0]), ">", -(10**400), [False, True]),
        (pa.array([True, False, None]), "==", 1, [True, False, None]),
        (pa.array([True, False, None]), "!=", Decimal("0"), [True, False, None]),
        (pa.array([True, False, None]), "<", True, [False, True, None]),
        (pa.array([1, 0, None]), "==", True, [True, False, None]),
        (pa.array([1.0, 0.0, None]), "==", False, [False, True, None]),
        (pa.array(["A,B", "a", None]), "==", "A,B", [True, False, None]),
        (pa.array(["A", "a", None]), "<", "a", [True, False, None]),
        (pa.array(["A"], pa.large_string()), "==", "A", [True]),
        (pa.array([b"\xff", "ä".encode(), None]), "==", "ä", [False, True, None]),
        (pa.array([b"ab", None], pa.binary(2)), "==", "ab", [True, None]),
        (DAYS, ">", "2026-01-30", [False, True, None]),
        (DAYS, "==", "2026-01-31", [False, True, None]),
        (DAYS, ">=", "2026-01-30 12:00", [False, True, None]),
        (DAYS, "==", "2026-01-31 00:00", [False, True, None]),
        (TIMES, ">=", "2026-01-31", [True, True, None]),
        (TIMES, "<", "2026-02-01", [True, True, None]),
        (TIMES, "==", "2026-01-31 12:30", [False, True, None]),
        (TIMES, ">", "2026-01-31T12:29:59.9999", [False, True, None]),
        (TIMES, "==", "2026-01-31 12:30:00.0001", [False, False, None]),
        (NANOS, "==", "2026-01-31 00:00:00.000000001", [True, False, None]),
        (FAR, ">", "2500-01-01 00:00", [True, None]),
        (pa.array([0, None], pa.timestamp("ns")), "<", "2500-01-01", [True, None]),
        (ZURICH, ">=", "2026-01-31", [True, True, None]),
        (ZURICH, "==", "2026-01-31 12:30", [False, True, None]),
        (ZURICH, "==", "2026-01-31 11:30Z", [False, True, None]),
        (ZURICH, "<", "2026-01-31 11:30+00:00", [True, False, None]),
        (ZURICH, ">", "0001-01-01 00:00+14:00", [True, True, None]),
        (ZURICH, ">=", "0001-01-01", [True, True, None]),
        (ZURICH, "<=", "9999-12-31 23:59", [True, True, None]),
        (pa.array([dt.datetime(2026, 10, 25, 0, 30)], pa.timestamp("s", "Europe/Zurich")), "==", "2026-10-25 02:30", [True]),
        (pa.array([dt.datetime(2026, 1, 31, 11)], pa.timestamp("s", "+01:00")), "==", "2026-01-31 12:00", [True]),
        (CLOCK, ">=", "12:30", [False, True, None]),
        (CLOCK, "<", "12:30:00.5", [True, True, None]),
        (PRICES, "==", Decimal("1.1"), [True, False, None]),
        (PRICES, "<", Decimal("-0.045"), [False, True, None]),
        (PRICES, "<", 10**9, [True, True, None]),
        (pa.nulls(2), "==", 1, [None, None]),
        (pa.nulls(1), "!=", "x", [None]),
    ],
)
def test_a_column_with_a_constant(column: pa.Array, operator: str, value: Any, expected: list[bool | None]) -> None:
    assert compare_with_constant(column, operator, value).to_pylist() == expected


@pytest.mark.parametrize(
    ("column", "operator", "value", "remedy"),
    [
        (pa.array(["07"]), "==", 7, "the column holds text; put the value in quotes: '7'"),
        (pa.array([7]), "==", "07", "the column holds numbers; compare it with a number, without quotes"),
        (pa.array([True]), "==", "true", "leave the quotes out"),
        (pa.array([True]), "==", 2, "compare it with true, false, 1 or 0"),
        (pa.array([2, 1]), "==", True, "the column holds 2, which is neither true nor false"),
        (pa.array(["x"]), "==", True, "the column does not hold true and false"),
        (DAYS, ">=", 20260131, "quoted text such as '2026-01-31'"),
        (DAYS, ">=", "31.01.2026", "write a date such as '2026-01-31'"),
        (DAYS, ">=", "2026-02-30", "there is no such moment"),
        (DAYS, ">=", "2026-01-31 00:00Z", "leave the zone out"),
        (TIMES, ">=", "2026-01-31 00:00+01:00", "leave the zone out"),
        (TIMES, "<=", "2026-01-31", "for this day write >= '2026-01-31' and < '2026-02-01'"),
        (TIMES, "==", "2026-01-31", "for its first moment '2026-01-31 00:00'"),
        (TIMES, "==", "noon", "write a time such as"),
        (CLOCK, "==", "noon", "a time of day such as '12:30'"),
        (pa.array([0], pa.timestamp("s", "Nowhere/X")), "<", "2026-01-31", "the time zone 'Nowhere/X' is not known here"),
        (pa.array([dt.timedelta(1)]), ">", 1, "can only be asked 'is null'"),
        (pa.array([[1]]), "==", 1, "can only be asked 'is null'"),
        (pa.array([[1]]), "==", "1", "can only be asked 'is null'"),
    ],
)
def test_a_comparison_that_means_nothing_has_a_remedy(column: pa.Array, operator: str, value: Any, remedy: str) -> None:
    with pytest.raises(ComparisonError) as caught:
        compare_with_constant(column, operator, value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        (pa.array([2**53 + 1, 3, None]), "==", pa.array([2.0**53, 3.0, 1.0]), [False, True, None]),
        (pa.array([2.0**53, 3.5, 1.0]), "<", pa.array([2**53 + 1, 3, None]), [True, False, None]),
        (pa.array([0, 2**63 - 1]), "<", pa.array([-0.5, float("inf")]), [False, True]),
        (pa.array([0, 5], pa.uint64()), ">", pa.array([-0.5, 2.0**64]), [True, False]),
        (pa.array([2**64 - 1, 5], pa.uint64()), ">", pa.array([-1, 5]), [True, False]),
        (pa.array([-1, 5]), "==", pa.array([2**64 - 1, 5], pa.uint64()), [False, True]),
        (pa.array([True, False, None]), "==", pa.array([1, 1, 1]), [True, False, None]),
        (pa.array(["a", "b", None]), "!=", pa.array(["a", "a", "a"]), [False, True, None]),
        (pa.array(["a"]), "==", pa.array(["a"], pa.large_string()), [True]),
        (DAYS, "<=", TIMES, [True, True, None]),
        (TIMES, "<", TIMES.cast(pa.timestamp("ns")), [False, False, None]),
        (ZURICH, "==", ZURICH.cast(pa.timestamp("us", "Asia/Tokyo")), [True, True, None]),
        (PRICES, ">", pa.array([1, 0, 0]), [True, False, None]),
        (PRICES, "==", pa.array([1.1, 0.0, 0.0]), [True, False, None]),
        (pa.array([b"a"]), "==", pa.array([b"a"], pa.binary(1)), [True]),
        (pa.nulls(1), "==", pa.array([1]), [None]),
    ],
)
def test_two_columns(left: pa.Array, operator: str, right: pa.Array, expected: list[bool | None]) -> None:
    assert compare_columns(left, operator, right).to_pylist() == expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pa.array(["1"]), pa.array([1])),
        (TIMES, ZURICH),
        (DAYS, ZURICH),
        (DAYS, pa.array([1, 2, 3])),
        (pa.array([[1]]), pa.array([[1]])),
        (pa.array([b"a"]), pa.array(["a"])),
    ],
)
def test_columns_that_cannot_be_compared(left: pa.Array, right: pa.Array) -> None:
    with pytest.raises(ComparisonError, match="cannot be compared"):
        compare_columns(left, "==", right)


def test_the_form_that_is_compared() -> None:
    assert comparable(pa.array(["a", "b"]).dictionary_encode()).to_pylist() == ["a", "b"]
    assert comparable(pa.array([NAN, 1.0], pa.float16())).to_pylist() == [None, 1.0]
    assert comparable(pa.array(["a"], pa.string_view())).type == pa.large_string()
    assert comparable(pa.array([dt.date(2026, 1, 31)], pa.date64())).type == pa.date32()
