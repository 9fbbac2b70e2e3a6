"""Arrow types: one type stands for all encodings of the same values."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt


def normal_type(kind: pa.DataType) -> pa.DataType:
    """The one type that stands for all encodings of the same values."""
    if isinstance(kind, pa.BaseExtensionType):
        return normal_type(kind.storage_type)
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return normal_type(kind.value_type)
    if pt.is_large_string(kind) or pt.is_string_view(kind):
        return pa.string()
    if pt.is_large_binary(kind) or pt.is_binary_view(kind):
        return pa.binary()
    if any(test(kind) for test in (pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view, pt.is_large_list_view)):
        return pa.list_(normal_type(kind.value_type))
    if pt.is_decimal(kind):
        return pa.float64() if kind.scale > 0 else pa.int64()
    return {pa.float16(): pa.float32(), pa.date64(): pa.date32()}.get(kind, kind)


def common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both types, or None where there is no such type.

    >>> common_type(pa.int8(), pa.float32()), common_type(pa.string(), pa.int64())
    (DataType(double), None)
    """
    if first == second or pt.is_null(second):
        return first
    if pt.is_null(first):
        return second
    if pt.is_integer(first) and pt.is_integer(second):
        return pa.uint64() if pa.uint64() in (first, second) else pa.int64()
    if all(pt.is_integer(kind) or pt.is_floating(kind) for kind in (first, second)):
        return pa.float64()
    if pt.is_list(first) and pt.is_list(second):
        inner = common_type(first.value_type, second.value_type)
        return None if inner is None else pa.list_(inner)
    if pt.is_timestamp(first) and pt.is_timestamp(second) and first.tz == second.tz:
        return max(first, second, key=lambda kind: ("s", "ms", "us", "ns").index(kind.unit))
    return None


def cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in a type that :func:`normal_type` or :func:`common_type` gave."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pt.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return column if column.type == kind else column.cast(kind)
