"""A fitted encoder gets rows for new ids of further rows, and everything else stays as it was."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from encoders import KEEP_ALL, assert_same_rows, sparse_encoder
from manygate.config import DataConfig
from manygate.data.growth import GrowingEncoder, grow_encoder
from manygate.data.rows import UNKNOWN_ROW
from manygate.errors import InputError


def _batch(values: pa.Array) -> tuple[str, pa.RecordBatch]:
    return "later", pa.record_batch({"id": values, "click": np.arange(len(values)) % 2})


def test_old_ids_keep_their_rows_and_new_ids_come_after_them() -> None:
    encoder = sparse_encoder(pa.array(["m", "z", "b"]))
    grown, new = grow_encoder(encoder, KEEP_ALL, [_batch(pa.array(["y", "b", "a", None])), _batch(pa.array(["c", "a"]))])
    assert new == {"id": 3}
    assert grown.vocabularies["id"].values.to_pylist() == ["b", "m", "z", "a", "c", "y"]
    assert encoder.vocabularies["id"].values.to_pylist() == ["b", "m", "z"]
    assert grow_encoder(grown, KEEP_ALL, [_batch(pa.array(["y", "m"]))])[1] == {"id": 0}


@pytest.mark.parametrize("spread", [1, 10**9], ids=["looked up in an array", "looked up in a hash table"])
def test_numbers_are_found_behind_the_old_ones_though_they_are_smaller(spread) -> None:
    encoder = sparse_encoder(pa.array([5, 7]) if spread == 1 else pa.array([5 * spread, 7 * spread]))
    grown, _ = grow_encoder(encoder, KEEP_ALL, [_batch(pa.array([6 * spread, 1 * spread]))])
    ids = pa.array([5 * spread, 7 * spread, 1 * spread, 6 * spread, 9 * spread])
    assert grown.vocabularies["id"].rows_of(ids).tolist() == [2, 3, 4, 5, UNKNOWN_ROW]


def test_a_new_id_needs_the_least_count_in_all_rows_that_were_shown() -> None:
    config = DataConfig(min_count=3)
    growing = GrowingEncoder(sparse_encoder(pa.array(["a"] * 3), config), config)
    growing.add(*_batch(pa.array(["b", "b", "c"])))
    assert growing.grow() == {"id": 0}
    growing.add(*_batch(pa.array(["b", "c"])))
    assert growing.grow() == {"id": 1}
    growing.add(*_batch(pa.array(["b", "c"])))
    assert growing.grow() == {"id": 1}
    assert growing.encoder.vocabularies["id"].values.to_pylist() == ["a", "b", "c"]


def test_a_feature_s_own_least_count_comes_first_and_the_limit_counts_old_ids_too() -> None:
    encoder = sparse_encoder(pa.array(["a", "b"]), min_count=1, max_ids=4)
    grown, new = grow_encoder(encoder, DataConfig(min_count=9), [_batch(pa.array(["e", "d", "d", "c", "c", "c"]))])
    assert new == {"id": 2}
    assert grown.vocabularies["id"].values.to_pylist() == ["a", "b", "c", "d"]
    smaller = sparse_encoder(pa.array(["a", "b"]))
    assert grow_encoder(smaller, DataConfig(min_count=1, max_ids=1), [_batch(pa.array(["c"]))])[1] == {"id": 0}


def test_hashed_ids_need_no_rows() -> None:
    encoder = sparse_encoder(pa.array(["a", "b"]), vocabulary="hash", buckets=10)
    grown, new = grow_encoder(encoder, KEEP_ALL, [_batch(pa.array(["c"]))])
    assert (new, grown.vocabularies["id"].rows) == ({}, 12)


def test_only_rows_of_new_ids_differ_afterwards(encoded, log_table, settings, repeating_ages) -> None:
    """Scales, the values of numbers that are ids, the scales of labels and target statistics stay as they were fitted."""
    config = settings(target_statistics=True, number_ids=5, min_count=12)
    encoder = encoded(repeating_ages(log_table(300)), config=config).encoder
    later = repeating_ages(log_table(200, seed=3)).combine_chunks()
    user = pa.array(np.where(np.arange(200) < 100, np.arange(200) % 25, 1000 + np.arange(200) % 5))
    (batch,) = later.set_column(0, "user", user).to_batches()
    grown, new = grow_encoder(encoder, config, [("later", batch)])
    assert {name for name, count in new.items() if count} == {"user"}
    assert (grown.scales, grown.labels, grown.number_ids, grown.types) == (
        encoder.scales,
        encoder.labels,
        encoder.number_ids,
        encoder.types,
    )
    before, after = encoder.encode(batch), grown.encode(batch)
    was_new = np.arange(200) >= 100
    assert (before.id_BS[was_new, 0] == UNKNOWN_ROW).all()
    np.testing.assert_array_equal(after.id_BS[~was_new], before.id_BS[~was_new])
    assert sorted(set(after.id_BS[was_new, 0])) == list(range(encoder.vocabularies["user"].rows, grown.vocabularies["user"].rows))
    after.id_BS[was_new, 0] = UNKNOWN_ROW
    assert_same_rows(after, before)


def test_ids_that_may_be_rounded_are_named() -> None:
    encoder = sparse_encoder(pa.array([1.0, 2.0]))
    grown, _ = grow_encoder(encoder, KEEP_ALL, [_batch(pa.array([2.0**53 + 4]))])
    (warning,) = grown.warnings
    assert "column 'id' holds ids as double" in warning
    whole = sparse_encoder(pa.array([1, 2]))
    with pytest.raises(InputError, match="may stand for several ids"):
        grow_encoder(whole, KEEP_ALL, [_batch(pa.array([2.0**53]))])


def test_ids_of_other_types_are_the_same_ids() -> None:
    """Text of a CSV file does not become a second id, and text that no number is written as is none."""
    encoder = sparse_encoder(pa.array([7, 8]))
    grown, new = grow_encoder(encoder, KEEP_ALL, [_batch(pa.array(["7", "9", "09"]))])
    assert (grown.vocabularies["id"].values.to_pylist(), new) == ([7, 8, 9], {"id": 1})
    assert grown.vocabularies["id"].values.type == pa.int64()
