"""Batches gather the rows asked for; an epoch's order depends on the seed and the epoch alone."""

from __future__ import annotations

import itertools

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


def test_an_order_is_a_permutation_named_by_seed_and_epoch():
    split = Split(rows(200))
    orders = {(seed, epoch): tuple(split.order(seed, epoch).tolist()) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert all(sorted(order) == list(range(200)) for order in orders.values())
    assert len(set(orders.values())) == 6
    assert tuple(Split(rows(200)).order(1, 2).tolist()) == orders[1, 2]


def test_an_order_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    Split(rows()).order(0, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_a_split_without_rows_or_features():
    empty = rows().where(np.zeros(23, dtype=bool))
    assert len(Split(empty)) == 0
    assert list(Split(empty).slices(8)) == []
    assert Split(empty).order(0, 0).tolist() == []


@pytest.mark.parametrize("bootstrap", [False, True], ids=["order", "bootstrap"])
def test_each_replica_s_own_order_is_another_in_every_epoch_and_with_every_seed(bootstrap):
    keys = list(itertools.product((0, 1), (0, 1, 2)))
    orders = {key: Resampled(Split(rows(200)), [5, 6], bootstrap).order(*key) for key in keys}
    columns = {(*key, r): tuple(order[:, r].tolist()) for key, order in orders.items() for r in (0, 1)}
    assert len(set(columns.values())) == len(keys) * 2
    samples = {key: tuple(sorted(column)) for key, column in columns.items()}
    for (seed, _, r), sample in samples.items():
        assert sample == samples[seed, 0, r], "a replica sees the same rows in each epoch"
        assert bootstrap or sample == tuple(range(200))
    if bootstrap:
        assert len(set(samples.values())) == 4, "a sample for each seed and replica"
    alone = Resampled(Split(rows(200)), [6], bootstrap).order(1, 2)[:, 0]
    assert tuple(alone.tolist()) == columns[1, 2, 1], "whoever else is there"
