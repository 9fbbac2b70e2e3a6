"""Reads and writes the tensors of the Open Inference Protocol, version 2, as JSON and as bytes.

Binary tensors follow the HTTP header ``Inference-Header-Content-Length``: the JSON comes first, the bytes of each tensor after it,
little-endian. A text stands as its length (4 bytes) and its UTF-8.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manygate.serving.values import Unreadable, single

DATATYPES = {"string": "BYTES", "int64": "INT64", "bool": "BOOL", "double": "FP64", "uint8": "UINT8"}
_NUMPY: dict[str, Any] = {"INT64": "<i8", "BOOL": "?", "FP64": "<f8", "UINT8": "u1"}
_INTEGERS = {"INT64": (-(2**63), 2**63 - 1), "UINT8": (0, 255)}


def from_json(data: Any, datatype: str, shape: Sequence[int]) -> np.ndarray:
    """Return a tensor whose values stand in JSON, flat or nested.

    Raises :class:`Unreadable` if the values do not fit the type or the shape.

    >>> from_json([[1, 2], [3, 4]], "INT64", [2, 2])
    array([[1, 2],
           [3, 4]])
    """
    if not isinstance(data, list):
        raise Unreadable("data must be a list")
    for width in shape[1:]:
        if not data or not isinstance(data[0], list):
            break
        if any(not isinstance(part, list) or len(part) != width for part in data):
            raise Unreadable(f"data must be flat, or each of its lists must have {width:,} values, as the shape says")
        data = [value for part in data for value in part]
    size = math.prod(shape)
    if len(data) != size:
        raise Unreadable(f"data has {len(data):,} values, and the shape asks for {size:,}")
    if datatype == "UINT8":
        value_N, null_N = single(data, {"type": "int64"})
        if ((value_N < 0) | (value_N > 255)).any():
            raise Unreadable("a value is not between 0 and 255")
        value_N = value_N.astype(np.uint8)
    else:
        kind = next(kind for kind, name in DATATYPES.items() if name == datatype)
        value_N, null_N = single(data, {"type": kind})
    if null_N is not None and datatype != "FP64":
        raise Unreadable("null is no value of this type. The input for missing values says what is null")
    return value_N.reshape(shape)


def from_bytes(data: bytes, datatype: str, shape: Sequence[int]) -> np.ndarray:
    """Return a tensor whose values stand as bytes. Raises :class:`Unreadable` if they do not fit the type or the shape."""
    size = math.prod(shape)
    if datatype == "BYTES":
        return _texts(data, size).reshape(shape)
    dtype = np.dtype(_NUMPY[datatype])
    if len(data) != size * dtype.itemsize:
        raise Unreadable(f"it has {len(data):,} bytes, and the shape asks for {size * dtype.itemsize:,}")
    if datatype == "BOOL":  # a byte that is neither 0 nor 1 would be true here and something else elsewhere
        value_N = np.frombuffer(data, np.uint8)
        if (value_N > 1).any():
            raise Unreadable("a byte is neither 0 nor 1")
    return np.frombuffer(data, dtype).astype(dtype.newbyteorder("=")).reshape(shape)


def _texts(data: bytes, size: int) -> np.ndarray:
    """Return texts that stand one after the other, each behind its length."""
    if size > len(data) // 4:  # checked before there is an array: a shape costs nothing
        raise Unreadable(f"it ends after {len(data):,} bytes, and the shape asks for {size:,} texts of at least 4 bytes")
    text_N = np.empty(size, dtype=object)
    place = 0
    for n in range(size):
        if place + 4 > len(data):
            raise Unreadable(f"it ends after {n:,} of {size:,} texts")
        (length,) = struct.unpack_from("<I", data, place)
        place += 4
        if place + length > len(data):
            raise Unreadable(f"text {n:,} ends after the last byte")
        try:
            text_N[n] = str(data[place : place + length], "utf-8")
        except UnicodeDecodeError:
            raise Unreadable(f"text {n:,} is not UTF-8") from None
        place += length
    if place != len(data):
        raise Unreadable(f"{len(data) - place:,} bytes follow the last text")
    return text_N


def to_bytes(value_N: np.ndarray) -> bytes:
    """Return the bytes of a tensor of numbers, little-endian.

    >>> to_bytes(np.array([1.0])).hex()
    '000000000000f03f'
    """
    return np.ascontiguousarray(value_N, value_N.dtype.newbyteorder("<")).tobytes()


def text_bytes(texts: Sequence[str]) -> bytes:
    """Return texts as the bytes of a BYTES tensor.

    >>> text_bytes(["a", "é"])
    b'\\x01\\x00\\x00\\x00a\\x02\\x00\\x00\\x00\\xc3\\xa9'
    """
    coded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(code)) + code for code in coded)


def checked_shape(entry: Mapping[str, Any]) -> list[int]:
    """Return the shape of a tensor of a request. Raises :class:`Unreadable` if it is none."""
    shape = entry.get("shape")
    if not isinstance(shape, list) or any(type(size) is not int or size < 0 for size in shape):
        raise Unreadable("shape must be a list of whole numbers, 0 or more")
    return shape
