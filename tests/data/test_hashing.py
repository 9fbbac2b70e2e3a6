"""Hashes are the same in every version and on every machine: a saved model's buckets depend on them."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.data.hashing import murmur_hash, stable_hash

PUBLISHED = {
    "": 0x00000000,
    "\0": 0x514E28B7,
    "\0\0": 0x30F4C306,
    "\0\0\0": 0x85F0B427,
    "\0\0\0\0": 0x2362F9DE,
    "!": 0x72661CF4,
    "!C": 0xA0F7B07A,
    "!Ce": 0x7E4A8634,
    "a": 0x3C2569B2,
    "abc": 0xB3DD93FA,
    "aaaa": 0x7EEED987,
    "test": 0xBA6BD213,
    "Hello, world!": 0xC0363E43,
    "The quick brown fox jumps over the lazy dog": 0x2E4FF723,
}
"""Published hashes of MurmurHash3_x86_32 with seed 0."""
OF_LENGTHS = [
    0,
    1050319643,
    2861963440,
    3386805872,
    2878328643,
    1747055072,
    3823069141,
    973454475,
    451123232,
    2077288706,
    1979586576,
    3424342061,
    546972267,
    799817481,
    4001647920,
    3546429290,
    204842865,
    1181088194,
    1685340467,
    3754273921,
    4228831301,
    1122954926,
    2104571261,
    1360132188,
    3279618876,
    1411142880,
    2407467900,
    2395713039,
    757959232,
    4209624599,
    4151392248,
    771801775,
    990880473,
    4243188946,
    2754516886,
    876161648,
    386551816,
    3288984187,
    1571964141,
    2432370931,
    1309653151,
]
"""The hash of each text of 0 to 40 letters x."""
OF_TEXT = {
    "": 0,
    "a": 1009084850,
    "ab": 2613040991,
    "abc": 3017643002,
    "abcd": 1139631978,
    "abcde": 3902511862,
    "Zürich": 694770001,
    "中文": 3676729751,
    "😀": 3199479546,
    "😀😀": 2665048092,
    "👩\u200d👩\u200d👧": 3400745356,
    "a\x00b": 1871496870,
    "\x00": 1364076727,
    "\x00\x00\x00\x00": 593689054,
    "abc\x00": 2689905882,
    "007": 359640054,
    "7": 602572328,
    "7.0": 3574679223,
    "-7": 1918780564,
    "user-12345": 2833417888,
    "x" * 40: 1309653151,
}
OF_INT64 = {
    0: 1669671676,
    1: 1392991556,
    -1: 1651860712,
    7: 4157363267,
    -7: 2591759733,
    255: 4242213303,
    2**31 - 1: 1819228606,
    2**31: 386683422,
    -(2**31): 2221932504,
    2**32: 987256456,
    2**53: 2201593381,
    2**63 - 1: 2188461247,
    -(2**63): 1366273829,
}
OF_UINT64 = {2**63: 1366273829, 2**64 - 1: 1651860712}
OF_FLOAT64 = {
    0.0: 1669671676,
    1.0: 4152582287,
    -1.0: 3800686449,
    7.0: 785381853,
    0.5: 2677528480,
    -7.25: 4156608851,
    2.0**53: 2157591304,
    1e308: 168934776,
    5e-324: 1392991556,
}
"""What MurmurHash3 of ONNX Runtime 1.32.0 gives for tensors of text, int64, uint64 and double (positive=1, seed=0)."""


def test_hashes_are_those_of_earlier_versions():
    assert stable_hash(pa.array(["a", None, "é"])).tolist() == [
        4180199910021036473,
        0,
        4840601380256214844,
    ]
    assert stable_hash(pa.array([7])).tolist() == stable_hash(pa.array(["7"])).tolist() == [16457072823111915977]


@pytest.mark.parametrize("seed", [0, 1, 258])
def test_a_hash_is_blake2b_with_the_seed_as_its_key(seed):
    digest = blake2b(b"a", digest_size=8, key=seed.to_bytes(8, "little")).digest()
    assert stable_hash(pa.array(["a"]), seed).tolist() == [int.from_bytes(digest, "little")]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_text_has_the_published_hashes(kind: pa.DataType) -> None:
    assert murmur_hash(pa.array(list(PUBLISHED), kind)).tolist() == list(PUBLISHED.values())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.string(), OF_TEXT),
        (pa.string(), {"x" * length: number for length, number in enumerate(OF_LENGTHS)}),
        (pa.int64(), OF_INT64),
        (pa.uint64(), OF_UINT64),
        (pa.float64(), OF_FLOAT64),
    ],
    ids=["text", "lengths", "int64", "uint64", "float64"],
)
def test_values_have_the_hashes_of_onnx_runtime(kind: pa.DataType, expected: dict[Any, int]) -> None:
    assert murmur_hash(pa.array(list(expected), kind)).tolist() == list(expected.values())
    for value, number in expected.items():
        assert murmur_hash(pa.array([value], kind)).tolist() == [number], "alone as among others"


def test_a_number_has_one_hash_in_every_type_of_its_family() -> None:
    small = [0, 1, 7, 100]
    whole = murmur_hash(pa.array(small, pa.int64())).tolist()
    for kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()):
        assert murmur_hash(pa.array(small, kind)).tolist() == whole
    assert murmur_hash(pa.array([-7], pa.int8())).tolist() == [OF_INT64[-7]]
    assert murmur_hash(pa.array([True, False])).tolist() == [OF_INT64[1], OF_INT64[0]]
    for kind in (pa.float16(), pa.float32()):
        assert murmur_hash(pa.array(np.array([0.5, -7.25, -0.0], kind.to_pandas_dtype()))).tolist() == [
            OF_FLOAT64[0.5],
            OF_FLOAT64[-7.25],
            OF_FLOAT64[0.0],
        ]


def test_nulls_slices_chunks_and_codes() -> None:
    a, abc = PUBLISHED["a"], PUBLISHED["abc"]
    values = pa.array(["x", "a", None, "abc", "a", ""])
    assert murmur_hash(values.slice(1)).tolist() == [a, 0, abc, a, 0]
    assert murmur_hash(values.dictionary_encode().slice(1, 3)).tolist() == [a, 0, abc]
    assert murmur_hash(pa.chunked_array([["a"], [None, "abc"]])).tolist() == [a, 0, abc]
    assert murmur_hash(pa.array([None, 7])).tolist() == [0, OF_INT64[7]]
    for kind in (pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.null()):
        assert murmur_hash(pa.array([], kind)).tolist() == []
        assert murmur_hash(pa.nulls(2, kind)).tolist() == [0, 0]


def murmur_by_hand(content: bytes) -> int:
    """The algorithm as it is published, a byte string at a time."""
    state, end = 0, len(content) // 4 * 4
    for start in range(0, end, 4):
        state ^= scrambled(int.from_bytes(content[start : start + 4], "little"))
        state = (rotated(state, 13) * 5 + 0xE6546B64) % 2**32
    state ^= scrambled(int.from_bytes(content[end:], "little")) ^ len(content)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        state = (state ^ (state >> shift)) * factor % 2**32
    return state


def scrambled(word: int) -> int:
    return rotated(word * 0xCC9E2D51 % 2**32, 15) * 0x1B873593 % 2**32


def rotated(bits: int, places: int) -> int:
    return (bits << places | bits >> (32 - places)) % 2**32


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=40), max_size=20), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_any_text_and_number_is_hashed_as_by_hand(texts: list[str], numbers: list[int]) -> None:
    assert murmur_hash(pa.array(texts, pa.string())).tolist() == [murmur_by_hand(text.encode()) for text in texts]
    of_bytes = [murmur_by_hand(number.to_bytes(8, "little", signed=True)) for number in numbers]
    assert murmur_hash(pa.array(numbers, pa.int64())).tolist() == of_bytes
