"""Encoded rows are joined and filtered; a vocabulary maps ids to rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from encoders import KEEP_ALL, assert_same_rows
from manygate.data.fit import fit_encoder
from manygate.data.rows import NO_GROUP, NULL_ROW, Rows, RowsBuilder, Vocabulary


def rows_of_groups(group_B: list[int] | None) -> Rows:
    count = 0 if group_B is None else len(group_B)
    empty = np.zeros((count, 0))
    return Rows(empty, empty, [], empty, empty, None if group_B is None else np.array(group_B, np.uint64))


def test_a_row_without_a_group_is_a_group_of_its_own_after_all_others() -> None:
    none = int(NO_GROUP)
    for given, expected in (
        ([9, none, 5, 9, none], [1, 2, 0, 1, 3]),
        ([none, none], [0, 1]),
        ([2**63, 0], [1, 0]),
        ([], []),
    ):
        rows = rows_of_groups(given)
        assert rows.groups is not None
        assert rows.groups.tolist() == expected
        assert rows.groupless == given.count(none)
    assert rows_of_groups(None).groups is None
    assert rows_of_groups(None).groupless == 0


def test_rows_where_and_concat(log_table, log_schema):
    table = log_table(90)
    encoder = fit_encoder(log_schema(), KEEP_ALL, [("log", table.combine_chunks().to_batches()[0])])
    rows = encoder.encode(table.combine_chunks().to_batches()[0])
    keep = np.arange(90) % 3 == 1
    assert_same_rows(rows.where(keep), encoder.encode(table.filter(pa.array(keep)).combine_chunks().to_batches()[0]))
    assert_same_rows(rows.where(np.ones(90, dtype=bool)), rows)
    assert len(rows.where(np.zeros(90, dtype=bool))) == 0
    assert_same_rows(Rows.concat([rows.where(np.zeros(90, dtype=bool)), rows, rows.where(np.zeros(90, dtype=bool))]), rows)


def test_a_vocabulary_keeps_its_rows_for_a_slice():
    vocabulary = Vocabulary(pa.array(["a", "b", "c"]))
    assert vocabulary.rows_of(pa.array(["z", "c", None, "a"]).slice(1)).tolist() == [4, NULL_ROW, 2]


def test_ids_of_a_vocabulary_have_rows_from_two_on() -> None:
    vocabulary = Vocabulary(pa.array(["a", "c"]))
    assert vocabulary.rows == 4
    assert vocabulary.rows_of(pa.array(["c", None, "b", "a"])).tolist() == [3, 0, 1, 2]


def test_a_hashed_vocabulary_has_a_row_for_each_bucket() -> None:
    vocabulary = Vocabulary(pa.array([], pa.string()), 10)
    assert vocabulary.rows == 12
    row_N = vocabulary.rows_of(pa.array(["a", None, "b", "a"]))
    assert row_N[1] == 0
    assert row_N[0] == row_N[3]
    assert ((row_N[[0, 2]] >= 2) & (row_N[[0, 2]] < 12)).all()


def test_the_rows_of_hashed_ids_follow_the_hash() -> None:
    ids = pa.array(["a", None, "abc"])
    for name, rows in (("murmur3", [1009084850 % 1000 + 2, 0, 3017643002 % 1000 + 2]), ("blake2b", [475, 0, 571])):
        assert Vocabulary(pa.array([], pa.string()), 1000, name).rows_of(ids).tolist() == rows  # type: ignore[arg-type]
    assert Vocabulary(pa.array([], pa.string()), 1000).hash == "murmur3"


def test_as_many_buckets_as_there_may_be() -> None:
    row_N = Vocabulary(pa.array([], pa.string()), 2**30).rows_of(pa.array(np.arange(100_000)))
    assert row_N.dtype == np.int32
    assert (row_N.min() >= 2, row_N.max() > 2**30 - 2**20, row_N.max() < 2**30 + 2) == (True, True, True)


def test_bags_of_parts_are_joined_by_hand() -> None:
    def rows(ids: list[int], offsets: list[int]) -> Rows:
        count = len(offsets) - 1
        bag = (np.array(ids, dtype=np.int32), np.array(offsets))
        return Rows(np.zeros((count, 0)), np.zeros((count, 0)), [bag], np.zeros((count, 1)), np.ones((count, 1)))

    joined = Rows.concat([rows([5, 6, 7], [0, 2, 2, 3]), rows([8], [0, 1])])
    assert (joined.bags[0][0].tolist(), joined.bags[0][1].tolist()) == ([5, 6, 7, 8], [0, 2, 2, 3, 4])
    kept = joined.where(np.array([False, True, True, True]))
    assert (kept.bags[0][0].tolist(), kept.bags[0][1].tolist()) == ([7, 8], [0, 0, 1, 2])


def test_a_builder_frees_what_it_joins(log_table, log_schema) -> None:
    batch = log_table(90).combine_chunks().to_batches()[0]
    encoder = fit_encoder(log_schema(), KEEP_ALL, [("log", batch)])
    builder = RowsBuilder()
    for start in (0, 30, 60):
        builder.add(encoder.encode(batch.slice(start, 30)))
    assert builder.count == 90
    rows = builder.rows()
    assert_same_rows(rows, encoder.encode(batch))
    assert not builder._arrays
    assert not builder._bags
    assert rows.nbytes == 90 * (3 * 4 + 3 * 4 + 3 * 8 + 8) + sum(4 * len(ids) + 8 * 91 for ids, _ in rows.bags)


def test_rows_without_inputs_keep_labels_weights_and_groups(log_table, log_schema) -> None:
    batch = log_table(30).combine_chunks().to_batches()[0]
    rows = fit_encoder(log_schema(), KEEP_ALL, [("log", batch)]).encode(batch)
    lean = rows.without_inputs()
    assert len(lean) == 30
    assert lean.nbytes == 30 * (3 * 8 + 8)
    for name in ("label_BT", "weight_BT", "group_B"):
        assert getattr(lean, name) is getattr(rows, name)


@pytest.mark.parametrize("low", [-(2**63), -5, 0, 2**63 - 200_001])
@pytest.mark.parametrize("apart", [1, 3, 100_000_000])
def test_whole_numbers_have_the_rows_of_a_hash_table_however_far_apart(low: int, apart: int) -> None:
    known = [low + apart * k for k in range(500) if low + apart * k < 2**63]
    vocabulary = Vocabulary(pa.array(known, pa.int64()))
    near = [value + step for value in (*known, 0, low) for step in (-1, 0, 1) if -(2**63) <= value + step < 2**63]
    ids = pa.array([*near, None, -(2**63), 2**63 - 1], pa.int64())
    rows = {value: row for row, value in enumerate(known, 2)}
    expected = [0 if value is None else rows.get(value, 1) for value in ids.to_pylist()]
    assert vocabulary.rows_of(ids).tolist() == expected
    assert vocabulary.rows_of(ids.slice(3)).tolist() == expected[3:]
    assert vocabulary.rows_of(ids).dtype == np.int32
