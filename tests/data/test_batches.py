"""Batches gather the rows asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.data.batches import Batch, Resampled, Split
from manygate.data.rows import Rows


def rows(count: int = 23) -> Rows:
    random = np.random.default_rng(0)
    bags = []
    for _ in range(2):
        length = random.integers(0, 4, count)
        offset = np.append(0, np.cumsum(length)).astype(np.int64)
        bags.append((random.integers(0, 9, offset[-1]).astype(np.int32), offset))
    return Rows(
        id_BS=np.arange(count * 3, dtype=np.int32).reshape(count, 3),
        number_BM=random.normal(size=(count, 2)).astype(np.float32),
        bags=bags,
        label_BT=random.integers(0, 2, (count, 2)).astype(np.float32),
        weight_BT=random.random((count, 2)).astype(np.float32),
        group_B=np.arange(count, dtype=np.uint64),
    )


def lists(batch: Batch) -> list[object]:
    """A batch row by row."""
    bags = [[value[start[b] : start[b + 1]].tolist() for value, start in batch.bags] for b in range(len(batch))]
    columns = (batch.id_BS, batch.number_BM, batch.label_BT, batch.weight_BT)
    return [([column[b].tolist() for column in columns], bags[b]) for b in range(len(batch))]


def expected(of: Rows, order: list[int]) -> list[object]:
    columns = (of.id_BS, of.number_BM, of.label_BT, of.weight_BT)
    return [
        ([column[b].tolist() for column in columns], [value[start[b] : start[b + 1]].tolist() for value, start in of.bags])
        for b in order
    ]


@pytest.mark.parametrize("order", [[0], [22, 0, 22, 5], list(range(23)), [], [3] * 5])
def test_take_gives_the_rows_in_the_order_given(order):
    batch = Split(rows()).take(torch.tensor(order, dtype=torch.long))
    assert lists(batch) == expected(rows(), order)
    assert len(batch) == len(order)
    for value, start in batch.bags:
        assert start[0] == 0
        assert start[-1] == len(value)


@pytest.mark.parametrize("size", [1, 4, 22, 23, 100])
def test_slices_walk_through_all_rows_once(size):
    batches = list(Split(rows()).slices(size))
    assert [row for batch in batches for row in lists(batch)] == expected(rows(), list(range(23)))
    assert all(len(batch) == size for batch in batches[:-1])


def test_an_epoch_gives_every_row_once_and_goes_on_from_any_batch():
    split = Split(rows(200))
    batches = list(split.batches(1, 2, 30))
    assert [len(batch) for batch in batches] == [30] * 6 + [20]
    taken = torch.cat([batch.id_BS[:, 0] for batch in batches])
    assert sorted(taken.tolist()) == rows(200).id_BS[:, 0].tolist()
    later = list(split.batches(1, 2, 30, first=4))
    assert [lists(batch) for batch in later] == [lists(batch) for batch in batches[4:]]


def test_batches_leave_the_global_random_state_alone():
    before = torch.get_rng_state()
    next(Split(rows()).batches(0, 0, 5))
    assert torch.equal(before, torch.get_rng_state())


def test_a_split_without_rows_or_features():
    empty = rows().where(np.zeros(23, dtype=bool))
    assert len(Split(empty)) == 0
    assert list(Split(empty).slices(8)) == []
    assert list(Split(empty).batches(0, 0, 8)) == []


def test_a_replica_s_own_batch_has_the_rows_that_it_has_alone():
    together = list(Resampled(Split(rows(50)), [5, 6], bootstrap=True).batches(0, 1, 20))
    for r, seed in enumerate((5, 6)):
        alone = Resampled(Split(rows(50)), [seed], bootstrap=True).batches(0, 1, 20)
        for batch, single in zip(together, alone, strict=True):
            assert torch.equal(batch.id_BS[r], single.id_BS[0])
            assert torch.equal(batch.label_BT[r], single.label_BT[0])
