"""An epoch's order depends on the seed, the epoch and the number of rows alone, and long logs are permuted window by window."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from manygate.data import order as orders
from manygate.data.order import GroupOrder, Order
from manygate.randomness import ORDER, SAMPLE, stream_seed


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(orders, "BLOCK_ROWS", 10)
    monkeypatch.setattr(orders, "WINDOW_BLOCKS", 3)
    monkeypatch.setattr(orders, "WHOLE", 30)


def generator(*key: int) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(*key))


@pytest.mark.parametrize("rows", [0, 1, 10, 30, 31, 95, 100])
def test_an_order_is_a_permutation_named_by_seed_and_epoch(rows):
    found = {key: Order(rows, key[0]).rows_of(key[1]).tolist() for key in itertools.product((0, 1), (0, 1, 2))}
    assert all(sorted(row_N) == list(range(rows)) for row_N in found.values())
    assert Order(rows, 1).rows_of(2).tolist() == found[1, 2]
    if rows >= 10:
        assert len({tuple(row_N) for row_N in found.values()}) == 6


def test_a_log_of_one_window_is_permuted_as_a_whole():
    assert torch.equal(Order(30, 7).rows_of(2), torch.randperm(30, generator=generator(ORDER, 7, 2)))


def test_a_longer_log_is_permuted_in_windows_of_whole_blocks():
    order = Order(95, seed=0)
    for epoch in (0, 1):
        windows, row_N, start = list(order.windows(epoch)), order.rows_of(epoch).tolist(), 0
        assert sorted(block for window in windows for block in window.blocks) == list(range(10))
        assert [len(window.blocks) for window in windows] == [3, 3, 3, 1]
        for window in windows:
            part = row_N[start : start + len(window)]
            assert sorted(part) == sorted(row for block in window.blocks for row in range(block * 10, min(block * 10 + 10, 95)))
            assert part != window.row_numbers.tolist()
            start += len(window)
    assert [w.blocks for w in order.windows(0)] != [w.blocks for w in order.windows(1)]
    full = [(epoch, window) for epoch in (0, 1) for window in list(order.windows(epoch))[:2]]
    assert len({tuple(order.within(window, epoch).tolist()[:25]) for epoch, window in full}) == 4, "each has an order of its own"


@given(rows=st.integers(1, 120), size=st.integers(1, 50), first=st.integers(0, 6))
def test_batches_are_the_parts_of_the_order_from_any_batch_on(rows, size, first):
    order = Order(rows, seed=3)
    pieces = [torch.cat([window.row_numbers[place_B] for window, place_B in batch]) for batch in order.batches(1, size, first)]
    wanted = order.rows_of(1).split(size)[first:] if first * size < rows else ()
    assert [piece.tolist() for piece in pieces] == [piece.tolist() for piece in wanted]


@pytest.mark.parametrize("rows", [30, 95])
@pytest.mark.parametrize("bootstrap", [False, True], ids=["order", "bootstrap"])
def test_each_replica_s_own_order_is_another_in_every_epoch_and_with_every_seed(rows, bootstrap):
    keys = list(itertools.product((0, 1), (0, 1, 2)))
    found = {(seed, epoch): Order(rows, seed, (5, 6), bootstrap).rows_of(epoch) for seed, epoch in keys}
    columns = {(*key, r): tuple(row_NR[:, r].tolist()) for key, row_NR in found.items() for r in (0, 1)}
    assert len(set(columns.values())) == len(keys) * 2
    samples = {key: tuple(sorted(column)) for key, column in columns.items()}
    for (seed, _, r), sample in samples.items():
        assert sample == samples[seed, 0, r], "a replica sees the same rows in each epoch"
        assert bootstrap or sample == tuple(range(rows))
    if bootstrap:
        assert len(set(samples.values())) == 4, "a sample for each seed and replica"
    alone = Order(rows, 1, (6,), bootstrap).rows_of(2)[:, 0]
    assert tuple(alone.tolist()) == columns[1, 2, 1], "whoever else is there"


def test_a_bootstrap_sample_of_one_window_is_drawn_from_all_rows():
    order_N = torch.randperm(30, generator=generator(ORDER, 2, 1, 5))
    sample_N = torch.randint(30, (30,), generator=generator(SAMPLE, 2, 5))
    assert torch.equal(Order(30, 2, (5,), bootstrap=True).rows_of(1)[:, 0], sample_N[order_N])


def test_a_bootstrap_sample_of_a_long_log_takes_as_many_rows_of_each_block_as_it_has():
    row_N = Order(95, 2, (5,), bootstrap=True).rows_of(0)[:, 0]
    assert torch.bincount(row_N // 10).tolist() == [10] * 9 + [5]
    assert len(row_N.unique()) < 80


def test_the_rows_of_a_group_follow_one_another_whatever_the_length():
    group_N = torch.arange(95) % 7
    row_N = GroupOrder(95, 0, group_N=group_N).rows_of(3)
    assert sorted(row_N.tolist()) == list(range(95))
    assert int((group_N[row_N].diff() != 0).sum()) == 6
