"""Inner products of the tasks' gradients at the shared representation.

Shape suffixes: M members, X numbers of a batch's representation, T tasks of a member.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def shared_gramian(loss_MT: Tensor, shared: Tensor, units: Sequence[int] | None = None) -> Tensor:
    """Return the Gramian of the losses' gradients at a shared representation, gramian_MTT.

    ``shared`` has the shape (M, B, ...) or, for M = 1, (B, ...). ``units`` are the indices of its last axis but one whose gradients
    count. None means all.

    Each task takes one backward pass through the layers above the shared representation. The graph is kept for the pass that
    trains. Members are independent, so the gradient of the sum of their losses holds the gradient of each member.

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
    (gradient,) = torch.autograd.grad(loss_M.sum(), shared, retain_graph=True, allow_unused=True)
    gradient = torch.zeros_like(shared) if gradient is None else gradient
    gradient = gradient if units is None else gradient.index_select(-2, torch.tensor(units, device=gradient.device))
    return gradient.reshape(len(loss_M), -1).float()
