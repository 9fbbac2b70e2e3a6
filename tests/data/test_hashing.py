"""Hashes are the same in every version and on every machine: a saved model's buckets depend on them."""

from __future__ import annotations

from hashlib import blake2b

import pyarrow as pa
import pytest

from manygate.data.hashing import stable_hash


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
