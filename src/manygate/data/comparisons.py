"""Compares a column with a constant or with another column, exactly and with three values: true, false and null for unknown.

Null and NaN are unknown. A number is compared as it is written, whatever the type of the column: no digit is lost between int64,
uint64, floats and decimals. Only a decimal fraction is first rounded to the column's own float type, as the stored values were.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

KERNELS: dict[str, Callable[[Any, Any], pa.Array]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    ">=": pc.greater_equal,
    "<=": pc.less_equal,
    ">": pc.greater,
    "<": pc.less,
}
STEPS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?")


class ComparisonError(Exception):
    """A comparison that means nothing; the text is the remedy."""


def comparable(column: pa.Array) -> pa.Array:
    """A column in the form that is compared: values instead of codes, null for NaN, and float32 for float16.

    >>> comparable(pa.array([1.5, float("nan")])).to_pylist()
    [1.5, None]
    """
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pt.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if pt.is_float16(column.type):
        column = column.cast(pa.float32())
    if pt.is_date64(column.type):
        column = column.cast(pa.date32())
    return pc.if_else(pc.is_nan(column), None, column) if pt.is_floating(column.type) else column


def compare_with_constant(column: pa.Array, operator: str, value: str | int | Decimal | bool) -> pa.Array:
    """Compare a column with a constant. Raises :class:`ComparisonError` with the remedy.

    >>> compare_with_constant(pa.array([2**63 - 1, 2**63, None], pa.uint64()), ">=", 2**63).to_pylist()
    [False, True, None]
    """
    kind = column.type
    if pt.is_null(kind):
        return pa.nulls(len(column), pa.bool_())
    if isinstance(value, bool):
        return _against_truth(column, operator, value)
    if isinstance(value, str):
        return _against_text(column, operator, value)
    if pt.is_boolean(kind):
        if value not in (0, 1):
            raise ComparisonError("the column holds true and false; compare it with true, false, 1 or 0")
        return _against_steps(column.cast(pa.int8()), operator, Fraction(value))
    if pt.is_integer(kind) or pt.is_decimal(kind):
        return _against_number(column, operator, value)
    if pt.is_floating(kind):
        return _against_float(column, operator, value)
    if pt.is_date(kind) or pt.is_timestamp(kind) or pt.is_time(kind):
        raise ComparisonError("the column holds dates or times; compare it with quoted text such as '2026-01-31' or '12:00'")
    raise ComparisonError(f"the column holds text; put the value in quotes: '{value}'" if _is_text(kind) else _no_comparison(kind))


def _is_text(kind: pa.DataType) -> bool:
    return pt.is_string(kind) or pt.is_large_string(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind)


def _no_comparison(kind: pa.DataType) -> str:
    return f"a column of type {kind} can only be asked 'is null' or 'is not null'"


def _same(column: pa.Array, truth: bool) -> pa.Array:
    """One answer for every known value."""
    return pc.if_else(pc.is_valid(column), truth, pa.scalar(None, pa.bool_()))


def _against_truth(column: pa.Array, operator: str, value: bool) -> pa.Array:
    kind = column.type
    if not (pt.is_boolean(kind) or pt.is_integer(kind) or pt.is_floating(kind)):
        raise ComparisonError("the column does not hold true and false")
    if not pt.is_boolean(kind):
        other = column.filter(pc.invert(pc.or_(pc.equal(column, 0), pc.equal(column, 1))))
        if len(other):
            raise ComparisonError(f"the column holds {other[0].as_py()}, which is neither true nor false; compare it with a number")
    return KERNELS[operator](column.cast(pa.int8()), pa.scalar(int(value), pa.int8()))


def _against_text(column: pa.Array, operator: str, text: str) -> pa.Array:
    kind = column.type
    if _is_text(kind):
        return KERNELS[operator](column, pa.scalar(text, kind))
    if _is_bytes(kind):
        return KERNELS[operator](column.cast(pa.large_binary()), pa.scalar(text.encode(), pa.large_binary()))
    if pt.is_date32(kind):
        moment = _moment(text, "a date such as '2026-01-31'")
        days = Fraction(_nanoseconds(_naive(moment, "the column holds dates")), 86_400 * 10**9)
        return _against_steps(column.cast(pa.int32()), operator, days)
    if pt.is_timestamp(kind):
        return _against_steps(column.cast(pa.int64()), operator, _timestamp_steps(kind, operator, text))
    if pt.is_time(kind):
        width = pa.int32() if pt.is_time32(kind) else pa.int64()
        return _against_steps(column.cast(width), operator, _time_steps(kind, text))
    if pt.is_boolean(kind):
        raise ComparisonError("the column holds true and false; leave the quotes out")
    if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind):
        raise ComparisonError("the column holds numbers; compare it with a number, without quotes")
    raise ComparisonError(_no_comparison(kind))


def _moment(text: str, example: str) -> tuple[datetime, Fraction, bool]:
    """A date or time in ISO form: without its fraction of a second, the fraction in nanoseconds, and whether it has a time."""
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ComparisonError(f"the column holds dates or times; write {example}")
    day, clock, seconds, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}:{seconds or '00'}{(offset or '').replace('Z', '+00:00')}")
    except ValueError as error:
        raise ComparisonError(f"there is no such moment ({error}); write {example}") from None
    return moment, Fraction(fraction or "0") * 10**9, clock is not None


def _naive(moment: tuple[datetime, Fraction, bool], why: str) -> tuple[datetime, Fraction, bool]:
    if moment[0].tzinfo is not None:
        raise ComparisonError(f"{why} without a time zone; leave the zone out")
    return moment


def _nanoseconds(moment: tuple[datetime, Fraction, bool]) -> Fraction:
    """Nanoseconds since 1970."""
    seconds, fraction, _ = moment
    apart = seconds.replace(tzinfo=None) - datetime(1970, 1, 1) - (seconds.utcoffset() or timedelta())
    return (apart.days * 86_400 + apart.seconds) * 10**9 + fraction


def _timestamp_steps(kind: pa.DataType, operator: str, text: str) -> Fraction:
    moment = _moment(text, "a time such as '2026-01-31 12:00:00'")
    if not moment[2] and operator not in (">=", "<"):
        following = (moment[0] + timedelta(days=1)).date().isoformat() if moment[0].date() < date.max else "the day after"
        raise ComparisonError(
            f"the column holds times and {text!r} is a whole day; for this day write >= '{moment[0].date()}' and < '{following}', "
            f"for its first moment '{moment[0].date()} 00:00'"
        )
    if kind.tz is None:
        moment = _naive(moment, "the column holds times")
    local = kind.tz is not None and moment[0].tzinfo is None
    nanoseconds = _local_nanoseconds(moment[0], kind.tz) + moment[1] if local else _nanoseconds(moment)
    return nanoseconds * STEPS_PER_SECOND[kind.unit] / 10**9


def _local_nanoseconds(moment: datetime, zone: str) -> Fraction:
    """Nanoseconds since 1970 at a moment of a time zone; the earlier of two where clocks go back."""
    try:
        there = pc.assume_timezone(pa.scalar(moment, pa.timestamp("us")), zone, ambiguous="earliest", nonexistent="latest")
    except pa.ArrowInvalid:
        raise ComparisonError(f"the time zone {zone!r} is not known here; write the zone, as in '2026-01-31 12:00+01:00'") from None
    return Fraction(there.value * 1000)


def _time_steps(kind: pa.DataType, text: str) -> Fraction:
    moment = _moment(f"1970-01-01 {text.strip()}", "a time of day such as '12:30' or '12:30:05'")
    return _nanoseconds(_naive(moment, "the column holds times of day")) * STEPS_PER_SECOND[kind.unit] / 10**9


def _against_number(column: pa.Array, operator: str, value: int | Decimal) -> pa.Array:
    """Compare whole numbers or decimals, which are whole numbers of their last digit."""
    if isinstance(value, Decimal) and value.is_infinite():
        return _same(column, _of_order(operator, -1 if value > 0 else 1))
    scale = column.type.scale if pt.is_decimal(column.type) else 0
    return _against_steps(column, operator, Fraction(value) * Fraction(10) ** scale)


def _of_order(operator: str, order: int) -> bool:
    """What an operator says of a left side that is less than the right one (-1), equal (0) or greater (1)."""
    return bool({"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator])


def _against_steps(column: pa.Array, operator: str, value: Fraction) -> pa.Array:
    """Compare whole numbers of steps with any number of steps, within or beyond the range of the type."""
    kind = column.type
    if operator in ("==", "!=") and value.denominator != 1:
        return _same(column, operator == "!=")
    bound = math.ceil(value) if operator in ("<", ">=") else math.floor(value)
    low, high = _range(kind)
    if not low <= bound <= high:
        return _same(column, _of_order(operator, -1 if bound > high else 1))
    if pt.is_decimal(kind):
        digits = tuple(map(int, str(abs(bound))))
        return KERNELS[operator](column, pa.scalar(Decimal((int(bound < 0), digits, -kind.scale)), kind))
    return KERNELS[operator](column, pa.scalar(bound, kind))


def _range(kind: pa.DataType) -> tuple[int, int]:
    if pt.is_decimal(kind):
        return 1 - 10**kind.precision, 10**kind.precision - 1
    ends = np.iinfo(kind.to_pandas_dtype())
    return int(ends.min), int(ends.max)


def _against_float(column: pa.Array, operator: str, value: int | Decimal) -> pa.Array:
    kind = column.type
    with np.errstate(over="ignore"):
        near = kind.to_pandas_dtype()(_float(value))
    infinite = isinstance(value, Decimal) and value.is_infinite()
    if infinite or (isinstance(value, Decimal) and np.isfinite(near)):
        return KERNELS[operator](column, pa.scalar(near, kind))
    order = (float(near) > value) - (float(near) < value)  # exact: Python compares a float with an int as they are
    if order and operator in ("==", "!="):
        return _same(column, operator == "!=")
    if order:  # no float lies between the value and its neighbour, so the comparison with the neighbour is exact
        operator = operator[0] if (order > 0) == (operator[0] == "<") else f"{operator[0]}="
    return KERNELS[operator](column, pa.scalar(near, kind))


def _float(value: int | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def compare_columns(left: pa.Array, operator: str, right: pa.Array) -> pa.Array:
    """Compare two columns, row by row. Raises :class:`ComparisonError` where their types do not allow it.

    >>> compare_columns(pa.array([2**53 + 1, 3]), "==", pa.array([2.0**53, 3.0])).to_pylist()
    [False, True]
    """
    if pt.is_null(left.type) or pt.is_null(right.type):
        return pa.nulls(len(left), pa.bool_())
    left, right = (column.cast(pa.int8()) if pt.is_boolean(column.type) else column for column in (left, right))
    kinds = (left.type, right.type)
    numbers = all(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind) for kind in kinds)
    alike = [_is_text, _is_bytes, pt.is_time, lambda kind: pt.is_date(kind) or (pt.is_timestamp(kind) and kind.tz is None)]
    aware = all(pt.is_timestamp(kind) and kind.tz is not None for kind in kinds)
    if not (numbers or aware or any(all(map(test, kinds)) for test in alike)):
        raise ComparisonError(f"a column of type {kinds[0]} cannot be compared with one of type {kinds[1]}")
    try:
        return _by_kernel(left, operator, right)
    except pa.ArrowException as error:
        raise ComparisonError(f"columns of type {kinds[0]} and {kinds[1]} cannot be compared: {error}") from None


def _by_kernel(left: pa.Array, operator: str, right: pa.Array) -> pa.Array:
    kinds = (left.type, right.type)
    if pt.is_integer(kinds[0]) and pt.is_floating(kinds[1]):
        return _whole_with_float(left, operator, right)
    if pt.is_floating(kinds[0]) and pt.is_integer(kinds[1]):
        flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(operator, operator)
        return _whole_with_float(right, flipped, left)
    if pa.uint64() in kinds and all(map(pt.is_integer, kinds)) and kinds[0] != kinds[1]:
        left, right = left.cast(pa.decimal128(20)), right.cast(pa.decimal128(20))
    if any(map(pt.is_decimal, kinds)) and any(map(pt.is_floating, kinds)):
        left, right = left.cast(pa.float64()), right.cast(pa.float64())
    if all(map(_is_bytes, kinds)):
        left, right = left.cast(pa.large_binary()), right.cast(pa.large_binary())
    return KERNELS[operator](left, right)


def _whole_with_float(whole: pa.Array, operator: str, number: pa.Array) -> pa.Array:
    """Compare integers with floats without rounding the integers."""
    low, high = _range(whole.type)
    value_N = pc.fill_null(number.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
    integer_N = pc.fill_null(whole, 0).to_numpy(zero_copy_only=False)
    floor_N = np.floor(value_N)
    inside_N = (floor_N >= float(low)) & (floor_N < float(high + 1))
    bound_N = np.where(inside_N, floor_N, 0.0).astype(integer_N.dtype)
    order_N = (integer_N > bound_N).astype(np.int8) - (integer_N < bound_N).astype(np.int8)
    order_N = np.where((order_N == 0) & (value_N > floor_N), -1, order_N)
    order_N = np.where(inside_N, order_N, np.where(value_N > 0, -1, 1)).astype(np.int8)
    known = pc.and_(pc.is_valid(whole), pc.is_valid(number))
    return pc.if_else(known, KERNELS[operator](pa.array(order_N), pa.scalar(0, pa.int8())), pa.scalar(None, pa.bool_()))
