"""The rows read are those of index_select."""

from __future__ import annotations

import pytest
import torch

from manygate.kernels.read_rows import read_rows


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
