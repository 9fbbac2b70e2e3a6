"""Inner products of the tasks' gradients at the shared representation.

Shape suffixes: M members, X numbers of a batch's representation, T tasks of a member.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def shared_gramian(loss_MT: Tensor, shared: Tensor, units: Sequence[int] | None = None) -> Tensor:
    """gramian_MTT of the losses' gradients at a representation ``shared``, (M, B, ...) or, for M = 1, (B, ...).

    ``units`` are those that count of its last axis but one; None for all.

    A task's gradient there takes one pass through what the task alone has above it; the graph stays for the pass that trains.
    Members are independent, so the sum of their losses gives each its own gradient.

    >>> z = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> shared_gramian(torch.stack([z.sum(dim=1), (z * z).sum(dim=1)], dim=1), z)
    tensor([[[ 2.,  6.],
             [ 6., 20.]]])
    """
    gradients_TMX = [_gradient(loss_M, shared, units) for loss_M in loss_MT.unbind(dim=1)]
    products = [[torch.linalg.vecdot(a_MX, b_MX) for b_MX in gradients_TMX[: t + 1]] for t, a_MX in enumerate(gradients_TMX)]
    tasks = range(len(products))
    return torch.stack([torch.stack([products[max(t, u)][min(t, u)] for u in tasks], dim=-1) for t in tasks], dim=-2)


def _gradient(loss_M: Tensor, shared: Tensor, units: Sequence[int] | None) -> Tensor:
    (found,) = torch.autograd.grad(loss_M.sum(), shared, retain_graph=True, allow_unused=True)
    found = torch.zeros_like(shared) if found is None else found
    found = found if units is None else found.index_select(-2, torch.tensor(units, device=found.device))
    return found.reshape(len(loss_M), -1).float()
