"""The sums of equal rows, by an expression and in a loop."""

from __future__ import annotations

import pytest
import torch

from manygate.kernels import equal_rows
from manygate.kernels.equal_rows import expression, sum_equal_rows


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 1000])
@pytest.mark.parametrize("largest", [1, 7, 2**31, 2**60])
@pytest.mark.parametrize("width", [1, 16])
def test_the_sums_of_a_loop(count: int, largest: int, width: int):
    generator = torch.Generator().manual_seed(count)
    row_n = torch.randint(largest, (count,), generator=generator)
    row_n[count // 2 :] = row_n[: count - count // 2].clone()
    value_nK = torch.randn(count, width, generator=generator)
    sums: dict[int, torch.Tensor] = {}
    for row, value_K in zip(row_n.tolist(), value_nK.double(), strict=True):
        sums[row] = sums.get(row, torch.zeros(width, dtype=torch.float64)) + value_K
    for function in (sum_equal_rows, expression):
        row_u, sum_uK = function(row_n, value_nK)
        assert row_u.tolist() == sorted(sums)
        assert sum_uK.shape == (len(sums), width)
        for row, sum_K in zip(row_u.tolist(), sum_uK, strict=True):
            torch.testing.assert_close(sum_K.double(), sums[row], rtol=1e-5, atol=1e-5)


def test_values_of_one_row_are_added_in_their_order():
    """1e8 + 1 is 1e8 in float32, so the order shows."""
    row_n = torch.tensor([5, 5, 5, 5])
    for values, total in (([1e8, 1.0, -1e8, 1.0], 1.0), ([1e8, -1e8, 1.0, 1.0], 2.0)):
        assert sum_equal_rows(row_n, torch.tensor(values).unsqueeze(1))[1].item() == total


def test_the_fast_form_is_used_where_a_number_holds_row_and_place(monkeypatch):
    def fail(*_: object) -> None:
        raise AssertionError

    value = torch.ones(2, 1)
    monkeypatch.setattr(equal_rows, "expression", fail)
    assert sum_equal_rows(torch.tensor([2**59, 3]), value)[0].tolist() == [3, 2**59]
    with pytest.raises(AssertionError):
        sum_equal_rows(torch.tensor([2**61, 3]), value)
