"""Tests of the cut: the numbers pass, and the gradient stops at the units that are named."""

from __future__ import annotations

import pytest
import torch

from manygate.kernels.cut import cut, unit_mask


def value(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3)).requires_grad_()


@pytest.mark.parametrize("units", [None, (1,), (0, 2), ()])
def test_the_gradient_stops_at_the_units_and_passes_at_the_others(units):
    before_BEH = value(4, 3, 2)
    after_BEH = cut(before_BEH, units)
    assert torch.equal(after_BEH, before_BEH)
    before, after = torch.autograd.grad((after_BEH.square() + 0 * before_BEH).sum(), [before_BEH, after_BEH])
    torch.testing.assert_close(after, 2 * before_BEH)
    for e in range(3):
        stops = units is None or e in units
        torch.testing.assert_close(before[:, e], torch.zeros(4, 2) if stops else 2 * before_BEH[:, e])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_vmap_puts_the_members_first_so_that_what_it_returns_is_what_was_read(axis):
    stacked = value(2, 5, 3)

    def member(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        after = cut(part)
        return after.square().sum(), after

    losses_M, after_M = torch.vmap(member, in_dims=axis)(stacked)
    (gradient,) = torch.autograd.grad(losses_M.sum(), after_M)
    torch.testing.assert_close(gradient, 2 * stacked.movedim(axis, 0))


def test_a_mask_has_a_one_for_each_unit():
    assert unit_mask((0, 3), torch.zeros(2, 4, 5)).flatten().tolist() == [1.0, 0.0, 0.0, 1.0]
