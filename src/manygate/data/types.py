"""Arrow types: one type for all encodings of the same values."""

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


def common_type(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    if one == two or pt.is_null(two):
        return one
    if pt.is_null(one):
        return two
    if pt.is_integer(one) and pt.is_integer(two):
        return pa.uint64() if pa.uint64() in (one, two) else pa.int64()
    if all(pt.is_integer(kind) or pt.is_floating(kind) for kind in (one, two)):
        return pa.float64()
    if pt.is_list(one) and pt.is_list(two):
        inner = common_type(one.value_type, two.value_type)
        return None if inner is None else pa.list_(inner)
    if pt.is_timestamp(one) and pt.is_timestamp(two) and one.tz == two.tz:
        return max(one, two, key=lambda kind: ("s", "ms", "us", "ns").index(kind.unit))
    return None


def cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pt.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return column if column.type == kind else column.cast(kind)
