"""Tensors of the protocol: JSON, bytes, and what is neither."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.serving.tensors import checked_shape, from_bytes, from_json, text_bytes, to_bytes
from manygate.serving.values import Unreadable


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)))))
def test_texts_come_back_from_bytes(texts: list[str]) -> None:
    assert from_bytes(text_bytes(texts), "BYTES", [len(texts)]).tolist() == texts


@given(st.lists(st.floats(width=64)))
def test_numbers_come_back_from_bytes_bit_by_bit(numbers: list[float]) -> None:
    value_N = np.array(numbers, np.float64)
    assert from_bytes(to_bytes(value_N), "FP64", [len(numbers)]).tobytes() == value_N.tobytes()


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_come_back_from_bytes_and_json(numbers: list[int]) -> None:
    assert from_bytes(to_bytes(np.array(numbers, np.int64)), "INT64", [len(numbers)]).tolist() == numbers
    assert from_json(numbers, "INT64", [len(numbers)]).tolist() == numbers


@given(st.binary(max_size=40), st.sampled_from(["BYTES", "INT64", "FP64", "BOOL", "UINT8"]), st.integers(0, 5), st.integers(0, 5))
def test_any_bytes_are_read_or_refused(data: bytes, datatype: str, rows: int, columns: int) -> None:
    try:
        tensor = from_bytes(data, datatype, [rows, columns])
    except Unreadable:
        return
    assert tensor.shape == (rows, columns)


@pytest.mark.parametrize("size", [2**31, 16 * 10**12])
def test_a_shape_without_bytes_takes_no_memory(size: int) -> None:
    with pytest.raises(Unreadable, match="texts"):
        from_bytes(b"\0\0\0\0", "BYTES", [4, size])


def test_bytes_are_little_endian() -> None:
    assert from_bytes(bytes([1, 0, 0, 0, 0, 0, 0, 0]), "INT64", [1]).tolist() == [1]
    assert from_bytes(b"\0\1", "BOOL", [2]).tolist() == [False, True]
    assert from_bytes(b"\0\xff", "UINT8", [2]).tolist() == [0, 255]
    assert to_bytes(np.array([1], ">i8")) == bytes([1, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("data", "datatype", "words"),
    [
        (b"\2", "BOOL", "neither 0 nor 1"),
        (b"\0" * 7, "INT64", "7 bytes, and the shape asks for 8"),
        (b"\1\0\0\0", "BYTES", "text 0 ends after the last byte"),
        (b"\0\0\0", "BYTES", "3 bytes, and the shape asks for 1 texts"),
        (b"\0\0\0\0x", "BYTES", "1 bytes follow"),
        (b"\1\0\0\0\xff", "BYTES", "not UTF-8"),
        (b"\3\0\0\0\xed\xa0\x80", "BYTES", "not UTF-8"),
    ],
)
def test_bytes_that_do_not_fit(data: bytes, datatype: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        from_bytes(data, datatype, [1])


def test_texts_that_end_too_early() -> None:
    with pytest.raises(Unreadable, match="ends after 1 of 2 texts"):
        from_bytes(text_bytes(["abcd"]) + b"\0", "BYTES", [2])


@pytest.mark.parametrize(
    ("data", "datatype", "shape", "expected"),
    [
        ([1, 2, 3, 4], "INT64", [2, 2], [[1, 2], [3, 4]]),
        ([[1, 2], [3, 4]], "UINT8", [2, 2], [[1, 2], [3, 4]]),
        (["a", ""], "BYTES", [2], ["a", ""]),
        ([1, "Infinity"], "FP64", [2], [1.0, np.inf]),
        ([[], []], "BOOL", [2, 0], [[], []]),
        ([], "BOOL", [0, 3], []),
    ],
)
def test_json_is_flat_or_nested(data: Any, datatype: str, shape: list[int], expected: Any) -> None:
    value = from_json(data, datatype, shape)
    assert value.tolist() == expected
    assert list(value.shape) == shape


@pytest.mark.parametrize(
    ("data", "datatype", "words"),
    [
        (None, "INT64", "must be a list"),
        ([[1], 2], "INT64", "must be flat"),
        ([[1, 2], []], "INT64", "must be flat"),
        ([1], "INT64", "1 values, and the shape asks for 2"),
        ([1, None], "INT64", "null"),
        ([1, 256], "UINT8", "between 0 and 255"),
        ([1, -1], "UINT8", "between 0 and 255"),
        (["a", 1], "BYTES", "expected text"),
        ([1, [2]], "INT64", "found a list"),
    ],
)
def test_json_that_does_not_fit(data: Any, datatype: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        from_json(data, datatype, [2, 1])


@pytest.mark.parametrize("shape", [None, 3, "3", [-1], [1.0], [True], [[1]], [None]])
def test_shapes_that_are_none(shape: Any) -> None:
    with pytest.raises(Unreadable, match="shape"):
        checked_shape({"shape": shape})


def test_a_shape() -> None:
    assert checked_shape({"shape": [0, 3]}) == [0, 3]
