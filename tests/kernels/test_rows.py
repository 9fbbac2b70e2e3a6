"""Rows are read as by index_select, and written as by index_copy_."""

from __future__ import annotations

import pytest
import torch

from manygate.kernels.rows import read_rows, write_rows


@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 4), (9, 1, 16), (9, 3, 5), (9, 2, 3, 4)])
@pytest.mark.parametrize("count", [0, 1, 200])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64])
def test_the_rows_of_index_select(shape: tuple[int, ...], count: int, kind: torch.dtype):
    generator = torch.Generator().manual_seed(count)
    table = (torch.randn(shape, generator=generator) * 100).to(kind)
    row_n = torch.randint(9, (count,), generator=generator)
    assert torch.equal(read_rows(table, row_n), table.index_select(0, row_n))
    across = table.transpose(0, -1)  # not contiguous
    row_n = row_n % len(across)
    assert torch.equal(read_rows(across, row_n), across.index_select(0, row_n))


def test_values_that_are_not_finite_stay_and_there_is_no_gradient():
    table = torch.tensor([[float("nan"), float("inf"), -float("inf"), 3.0e38]], requires_grad=True)
    found = read_rows(table, torch.tensor([0, 0]))
    assert not found.requires_grad
    assert found.isnan().tolist() == [[True, False, False, False]] * 2
    assert torch.equal(found[:, 1:], table.detach()[:, 1:].expand(2, -1))


def test_a_row_that_is_not_there_is_an_error():
    for row in (-1, 3):
        with pytest.raises((RuntimeError, IndexError)):
            read_rows(torch.zeros(3, 4), torch.tensor([row]))


@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 4), (9, 1, 16), (9, 3, 5)])
@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64])
def test_the_rows_of_index_copy(shape: tuple[int, ...], count: int, kind: torch.dtype):
    generator = torch.Generator().manual_seed(count)
    for across in (False, True):
        table = (torch.randn(shape, generator=generator) * 100).to(kind)
        table = table.transpose(0, -1) if across else table  # not contiguous
        row_n = torch.randperm(len(table), generator=generator)[:count]
        value = (torch.randn(len(row_n), *table.shape[1:], generator=generator) * 100).to(kind)
        expected = table.clone().index_copy_(0, row_n, value)
        write_rows(table, row_n, value)
        assert torch.equal(table, expected)


def test_writing_has_no_part_in_a_graph_and_rows_that_are_not_there_are_an_error():
    table = torch.zeros(3, 2, requires_grad=True)
    write_rows(table, torch.tensor([1]), torch.full((1, 2), float("nan"), requires_grad=True))
    assert table.isnan().tolist() == [[False] * 2, [True] * 2, [False] * 2]
    assert table.is_leaf
    with pytest.raises(IndexError):
        write_rows(table, torch.tensor([3]), torch.zeros(1, 2))
