"""Arrow types: one type stands for all encodings of the same values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

UUID_BYTES = 16
_OF_PANDAS = ("pandas.period", "pandas.interval")
_PERIOD_FORMATS = {  # pandas' frequencies whose ordinals NumPy counts alike: (unit of NumPy, text of pandas)
    "Y": ("Y", "%Y"), "M": ("M", "%Y-%m"), "D": ("D", "%Y-%m-%d"), "h": ("h", "%Y-%m-%d %H:00"),
    "min": ("m", "%Y-%m-%d %H:%M"), "s": ("s", "%Y-%m-%d %H:%M:%S"),
}  # fmt: skip
_HEX_N = np.frombuffer(b"0123456789abcdef", np.uint8)
_UUID_PLACES_N = np.array([k for k in range(36) if k not in (8, 13, 18, 23)])


def normal_type(kind: pa.DataType) -> pa.DataType:
    """The one type that stands for all encodings of the same values.

    >>> normal_type(pa.dictionary(pa.int8(), pa.string_view())), normal_type(pa.list_view(pa.int8())), normal_type(pa.uuid())
    (DataType(string), ListType(list<item: int8>), DataType(string))
    """
    if isinstance(kind, pa.BaseExtensionType):
        special = {"arrow.bool8": pa.bool_(), **dict.fromkeys(_OF_PANDAS, pa.string())}
        return special.get(kind.extension_name) or normal_type(kind.storage_type)
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return normal_type(kind.value_type)
    if pt.is_large_string(kind) or pt.is_string_view(kind) or _is_bytes(kind):
        return pa.string()
    if is_list_like(kind):
        return pa.list_(normal_type(kind.value_type))
    if pt.is_decimal(kind):
        return pa.float64() if kind.scale > 0 else pa.int64()
    return {pa.float16(): pa.float32(), pa.date64(): pa.date32()}.get(kind, kind)


def normal_field(field: pa.Field) -> pa.DataType:
    """The type of :func:`normal_type`; also for a column of a file whose extension type this process does not know."""
    extension = _unknown_extension(field)
    return pa.string() if extension in _OF_PANDAS else normal_type(field.type)


def is_list_like(kind: pa.DataType) -> bool:
    """True for each of Arrow's types of lists."""
    tests = (pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view, pt.is_large_list_view)
    return any(test(kind) for test in tests)


def _is_bytes(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pt.is_binary, pt.is_large_binary, pt.is_binary_view, pt.is_fixed_size_binary))


def is_stored_exactly(kind: pa.DataType, text: bool) -> bool:
    """True for a type that copies keep, since its normal type is rounder: decimals, and bytes where they need not be ``text``."""
    is_uuid = isinstance(kind, pa.UuidType)
    return bool(pt.is_decimal(kind)) or (not text and (is_uuid or (_is_bytes(kind) and not pt.is_binary_view(kind))))


def common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both types, or None where there is no such type.

    >>> common_type(pa.int8(), pa.float32()), common_type(pa.bool_(), pa.int64()), common_type(pa.string(), pa.int64())
    (DataType(double), DataType(bool), None)
    """
    if first == second or pt.is_null(second):
        return first
    if pt.is_null(first):
        return second
    if pt.is_integer(first) and pt.is_integer(second):
        return pa.uint64() if pa.uint64() in (first, second) else pa.int64()
    if _is_number(first) and _is_number(second):
        return pa.float64()
    if pa.bool_() in (first, second) and (_is_number(first) or _is_number(second)):
        return pa.bool_()  # numbers other than 0 and 1 are refused when they are read
    if pt.is_list(first) and pt.is_list(second):
        inner = common_type(first.value_type, second.value_type)
        return None if inner is None else pa.list_(inner)
    if pt.is_timestamp(first) and pt.is_timestamp(second) and first.tz == second.tz:
        return max(first, second, key=lambda kind: ("s", "ms", "us", "ns").index(kind.unit))
    return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind))


def numbers_as_bool(values: pa.Array) -> pa.Array:
    """True for 1 and false for 0; null for null and NaN. Raises ``pa.ArrowInvalid`` for another number.

    >>> numbers_as_bool(pa.array([1.0, 0.0, None])).to_pylist()
    [True, False, None]
    """
    if pt.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    other = values.filter(pc.and_(pc.not_equal(values, 0), pc.not_equal(values, 1)))
    if len(other):
        raise pa.ArrowInvalid(f"{other[0]} is neither 0 nor 1, so neither true nor false")
    return pc.equal(values, 1)


def cast(column: pa.Array, kind: pa.DataType, field: pa.Field | None = None) -> pa.Array:
    """A column in a type that :func:`normal_field` or :func:`common_type` gave; ``field`` is the column's, as stored.

    A UUID and every value of 16 bytes becomes the text of a UUID. Other bytes become the text that they are, or where they are no
    UTF-8, ``\\x`` and hexadecimal digits. Periods and intervals of pandas become the text that pandas prints.

    >>> cast(pa.array([b"CH", bytes([255, 1])]), pa.string()).to_pylist()
    ['CH', '\\\\xff01']
    """
    extension = None if field is None else _unknown_extension(field)
    if extension in _OF_PANDAS:
        assert field is not None
        return _pandas_text(extension, column, field.metadata[b"ARROW:extension:metadata"])
    if column.type == kind:
        return column
    if isinstance(column, pa.ExtensionArray):
        if column.type.extension_name in _OF_PANDAS:
            return _pandas_text(column.type.extension_name, column.storage, column.type.__arrow_ext_serialize__())
        column = column.storage
    if column.type == kind:
        return column
    if pt.is_dictionary(column.type):
        return cast(column.dictionary, kind).take(column.indices)
    if pt.is_run_end_encoded(column.type):
        return cast(pc.run_end_decode(column), kind)
    if is_list_like(column.type) and pt.is_list(kind):
        return _cast_list(column, kind)
    if _is_bytes(column.type) and pt.is_string(kind):
        return _bytes_as_text(column)
    if pt.is_boolean(kind) and _is_number(column.type):
        return numbers_as_bool(column)
    return column.cast(kind)


def _cast_list(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Lists of any type as ``list``. Arrow's cast of list views mixes up values (pyarrow 26), so lists are put together here."""
    values = cast(column.flatten(), kind.value_type)
    length_B = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.append(0, np.cumsum(length_B)), pa.int32())
    mask = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(offsets, values, type=kind, mask=mask)


def _bytes_as_text(column: pa.Array) -> pa.Array:
    if pt.is_fixed_size_binary(column.type) and column.type.byte_width == UUID_BYTES:
        return _uuid_text(column)
    plain = column.cast(pa.binary())
    try:
        text = plain.cast(pa.string())
    except pa.ArrowInvalid:
        text = None
    if text is None or pc.any(pc.starts_with(text, "\\x")).as_py():
        text = pa.array([None if value is None else _byte_text(value) for value in plain.to_pylist()], pa.string())
    return text


def _byte_text(value: bytes) -> str:
    """The text that the bytes are, or their digits after ``\\x``; two values never have one text."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\\x"
    return "\\x" + value.hex() if text.startswith("\\x") else text


def _uuid_text(column: pa.Array) -> pa.Array:
    first = column.offset * UUID_BYTES
    data = column.buffers()[1]
    byte_N = np.frombuffer(data, np.uint8)[first : first + len(column) * UUID_BYTES] if data else np.zeros(0, np.uint8)
    digit_NH = np.stack([byte_N >> 4, byte_N & 15], axis=1).reshape(len(column), 2 * UUID_BYTES)
    text_NC = np.full((len(column), 36), ord("-"), np.uint8)
    text_NC[:, _UUID_PLACES_N] = _HEX_N[digit_NH]
    offset_N = np.arange(0, 36 * len(column) + 1, 36, dtype=np.int32)
    text = pa.StringArray.from_buffers(len(column), pa.py_buffer(offset_N), pa.py_buffer(text_NC))
    return pc.if_else(column.is_valid(), text, None) if column.null_count else text


def _unknown_extension(field: pa.Field) -> str | None:
    """The name of an extension type that is in a file, and whose class this process lacks."""
    metadata = field.metadata or {}
    known = isinstance(field.type, pa.BaseExtensionType)
    return None if known or b"ARROW:extension:name" not in metadata else metadata[b"ARROW:extension:name"].decode()


def _pandas_text(name: str, storage: pa.Array, parameters: bytes) -> pa.Array:
    settings: dict[str, Any] = json.loads(parameters)
    return _period_text(storage, settings["freq"]) if name == "pandas.period" else _interval_text(storage, settings["closed"])


def _period_text(ordinals: pa.Array, frequency: str) -> pa.Array:
    if frequency not in ("Q-DEC", "Y-DEC", *_PERIOD_FORMATS):
        raise pa.ArrowInvalid(f"periods of frequency {frequency!r} have no text here; write them as text, with astype(str)")
    if frequency == "Q-DEC":
        quarters = [None if n is None else f"{1970 + n // 4}Q{n % 4 + 1}" for n in ordinals.to_pylist()]
        return pa.array(quarters, pa.string())
    unit, form = _PERIOD_FORMATS[frequency.removesuffix("-DEC")]
    ordinal_B = pc.fill_null(ordinals, 0).to_numpy(zero_copy_only=False)
    text = pc.strftime(pa.array(ordinal_B.astype(f"datetime64[{unit}]").astype("datetime64[s]")), form)
    return pc.if_else(ordinals.is_valid(), text, None)


def _interval_text(ends: pa.Array, closed: str) -> pa.Array:
    left, right = "[" if closed in ("left", "both") else "(", "]" if closed in ("right", "both") else ")"
    rows = zip(pc.struct_field(ends, 0).to_pylist(), pc.struct_field(ends, 1).to_pylist(), ends.is_valid().to_pylist(), strict=True)
    return pa.array(
        [f"{left}{low}, {high}{right}" if known and low is not None else None for low, high, known in rows], pa.string()
    )
