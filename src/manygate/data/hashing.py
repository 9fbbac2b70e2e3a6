"""Stable hashes of column values: the same on every machine, in every version, whatever the batch size.

Two hashes are here. :func:`murmur_hash` chooses the rows of hashed ids, because runtimes of exported models have it, too.
:func:`stable_hash` is for all else. It has more bits and a key.

Shape suffixes: N values, U distinct values, n bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

BucketHash = Literal["murmur3", "blake2b"]
"""A hash that chooses the rows of hashed ids."""
WORD = 4
"""The bytes that MurmurHash3 mixes at once."""


def stable_hash(values: pa.Array, seed: int = 0) -> np.ndarray:
    """Hash each value to 64 bits; equal values of any integer width, or of any string type, hash alike. Nulls hash to 0.

    >>> a, b = stable_hash(pa.array([7, 8, 7], pa.int8())), stable_hash(pa.array([7], pa.int64()))
    >>> bool(a[0] == a[2] == b[0]), bool(a[0] != a[1])
    (True, True)
    """
    key = seed.to_bytes(8, "little")
    return _each_once(values, lambda distinct: np.array([_hash_one(value, key) for value in distinct.to_pylist()], np.uint64))


def murmur_hash(values: pa.Array) -> np.ndarray:
    """Hash each value to 32 bits with MurmurHash3 (x86, 32 bit, seed 0), as ONNX Runtime does. Nulls hash to 0.

    Text hashes its UTF-8 bytes. A whole number of any type hashes the 8 bytes of int64, lowest byte first; from 2**63 on, those of
    uint64. True and false hash as 1 and 0. A fraction of any type hashes the 8 bytes of float64, and -0.0 hashes as 0.0. So 7, 7.0
    and "7" have different hashes.

    >>> murmur_hash(pa.array(["test", None])).tolist(), hex(murmur_hash(pa.array(["test"]))[0])
    ([3127628307, 0], '0xba6bd213')
    >>> murmur_hash(pa.array([7], pa.int8())).tolist() == murmur_hash(pa.array([7], pa.uint64())).tolist()
    True
    """
    return _each_once(values, lambda distinct: _murmur3(*_bytes_of(distinct)))


BUCKET_HASHES: dict[BucketHash, Callable[[pa.Array], np.ndarray]] = {"murmur3": murmur_hash, "blake2b": stable_hash}
"""The hashes of hashed ids by name."""


def _each_once(values: pa.Array, hash_of: Callable[[pa.Array], np.ndarray]) -> np.ndarray:
    """Hash each distinct value once. Nulls hash to 0."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    encoded = pc.dictionary_encode(values)
    hash_U = hash_of(encoded.dictionary)
    index_N = pc.fill_null(encoded.indices, len(hash_U)).to_numpy(zero_copy_only=False)
    return np.append(hash_U, hash_U.dtype.type(0))[index_N]


def _bytes_of(values: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bytes of all values and of one word more, the place of each value's first byte, and the number of its bytes."""
    kind = values.type
    if pt.is_integer(kind) or pt.is_boolean(kind) or pt.is_floating(kind):
        number_U = _eight_bytes(values)
        return _padded(number_U.view(np.uint8)), 8 * np.arange(len(number_U)), np.full(len(number_U), 8)
    text = values.cast(pa.large_binary())
    _, bounds, content = text.buffers()
    bound = np.frombuffer(bounds, np.int64)[text.offset : text.offset + len(text) + 1] if len(text) else np.zeros(1, np.int64)
    return _padded(np.frombuffer(content or b"", np.uint8)), bound[:-1], np.diff(bound)


def _eight_bytes(values: pa.Array) -> np.ndarray:
    """Numbers as int64, uint64 or float64, lowest byte first."""
    if pt.is_floating(values.type):
        return (values.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0).astype("<f8")  # -0.0 + 0.0 is 0.0
    if pt.is_uint64(values.type):
        return values.to_numpy(zero_copy_only=False).astype("<u8")
    return values.cast(pa.int64()).to_numpy(zero_copy_only=False).astype("<i8")


def _padded(byte_n: np.ndarray) -> np.ndarray:
    """Bytes with a word of zeros behind them, so that a word can be read at the end of the last value."""
    return np.append(byte_n, np.zeros(WORD, np.uint8))


def _murmur3(byte_n: np.ndarray, start_U: np.ndarray, length_U: np.ndarray) -> np.ndarray:
    """MurmurHash3_x86_32 with seed 0 of each run of bytes. Values are sorted by words: word w is mixed into all that have it."""
    order_U = np.argsort(length_U // WORD, kind="stable")
    start_U, length_U = start_U[order_U], length_U[order_U]
    words_U = length_U // WORD
    word_at = np.lib.stride_tricks.sliding_window_view(byte_n, WORD)
    state_U = np.zeros(len(order_U), np.uint32)
    for word in range(int(words_U.max(initial=0))):
        longer = slice(np.searchsorted(words_U, word, side="right"), None)
        mixed = state_U[longer] ^ _scrambled(_numbers(word_at[start_U[longer] + WORD * word]))
        state_U[longer] = _rotated(mixed, 13) * 5 + 0xE6546B64
    rest_U = _numbers(word_at[start_U + WORD * words_U]) & ((1 << 8 * (length_U % WORD)) - 1).astype(np.uint32)
    hash_U = np.empty_like(state_U)
    hash_U[order_U] = _finished(state_U ^ _scrambled(rest_U) ^ length_U.astype(np.uint32))
    return hash_U


def _numbers(word_UW: np.ndarray) -> np.ndarray:
    """Words of four bytes, lowest first, as numbers."""
    return np.ascontiguousarray(word_UW).view("<u4")[:, 0].astype(np.uint32)


def _rotated(bits: np.ndarray, places: int) -> np.ndarray:
    return (bits << places) | (bits >> (32 - places))


def _scrambled(word: np.ndarray) -> np.ndarray:
    return _rotated(word * 0xCC9E2D51, 15) * 0x1B873593


def _finished(state: np.ndarray) -> np.ndarray:
    """The last mix, after which every bit of the input may change every bit of the hash."""
    state = (state ^ (state >> 16)) * 0x85EBCA6B
    state = (state ^ (state >> 13)) * 0xC2B2AE35
    return state ^ (state >> 16)


def _hash_one(value: object, key: bytes) -> int:
    text = value if isinstance(value, str) else repr(value)
    return keyed_hash(text.encode("utf-8", "surrogatepass"), key)


def keyed_hash(content: bytes, key: bytes) -> int:
    """64 bits of blake2b under a key.

    >>> keyed_hash(b"a", b"key") == keyed_hash(b"a", b"key") != keyed_hash(b"a", b"other key")
    True
    """
    return int.from_bytes(blake2b(content, digest_size=8, key=key).digest(), "little")
