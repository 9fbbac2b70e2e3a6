"""The tasks' gradients at the shared representation: their inner products, and what training gives back there.

Shape suffixes: M members (m of them), X numbers of a batch's representation, T tasks of a member.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from manygate.kernels.cut import unit_mask


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
    return gramian_of([gradients_at(loss_M, [shared])[0] for loss_M in loss_MT.unbind(dim=1)], len(loss_MT), units)


def gradients_at(loss_M: Tensor, points: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of a task's losses at some tensors. They are zeros where the loss does not depend on the tensor."""
    gradients = torch.autograd.grad(loss_M.sum(), points, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(point) if found is None else found for point, found in zip(points, gradients, strict=True)]


def gramian_of(
    gradients: Sequence[Tensor], members: int, units: Sequence[int] | None, product: Callable[..., Tensor] = torch.linalg.vecdot
) -> Tensor:
    """Return the inner products of the tasks' gradients, gramian_MTT. There is one gradient for each task."""
    gradients_TMX = [_selected(gradient, units).reshape(members, -1).float() for gradient in gradients]
    products = [[product(a_MX, b_MX) for b_MX in gradients_TMX[: t + 1]] for t, a_MX in enumerate(gradients_TMX)]
    tasks = range(len(products))
    return torch.stack([torch.stack([products[max(t, u)][min(t, u)] for u in tasks], dim=-1) for t in tasks], dim=-2)


def inner_product(a_MX: Tensor, b_MX: Tensor) -> Tensor:
    """Return the inner product of each row, as ``torch.linalg.vecdot`` does, but in one pass over memory.

    >>> inner_product(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]]))
    tensor([17., 53.])
    """
    return torch.bmm(a_MX.unsqueeze(1), b_MX.unsqueeze(2)).flatten()


def _selected(gradient: Tensor, units: Sequence[int] | None) -> Tensor:
    return gradient if units is None else gradient.index_select(-2, torch.tensor(units, device=gradient.device))


@dataclass(frozen=True)
class SharedGradients:
    """Holds the tasks' gradients by something that they share, whose own graph is cut off from theirs.

    ``shared`` is (m, B, ...) or another tensor whose first axis is the members' axis, or, for one member, (B, ...).
    """

    shared: Tensor
    """It has a graph of its own, or is a parameter."""
    gradients: Sequence[Tensor]
    """One for each task, or the sum of them all, weighted already."""
    penalty: Tensor | None = None
    """The gradient of the penalties, which no weighting scales."""
    units: Sequence[int] | None = None
    """The indices of the last axis but one that are shared, None for all. The gradient at the other units was not cut off."""
    members: Tensor | None = None
    """The indices of its members in the run, None for all."""

    def combined(self, weight_MT: Tensor, active_M: Tensor) -> Tensor:
        """Return the sum of the tasks' gradients, each times its weight, and of the gradient of the penalties.

        It is 0 for members that are not active.

        >>> shared = SharedGradients(torch.zeros(1, 2), [torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])])
        >>> shared.combined(torch.tensor([[3.0, 0.5]]), torch.tensor([True])).tolist()
        [[3.0, 8.0]]
        """
        if self.members is not None:
            weight_MT, active_M = weight_MT.index_select(0, self.members), active_M.index_select(0, self.members)
        total, *rest = self.gradients
        axes = (-1,) + (1,) * (total.ndim - 1)
        if rest:
            first, *others = (weight_M.reshape(axes) for weight_M in weight_MT.unbind(dim=1))
            total = total.float() * first
            for weight, gradient in zip(others, rest, strict=True):
                total.addcmul_(gradient.float(), weight)
        if self.units is not None:
            total = total * unit_mask(self.units, total)
        total = total if self.penalty is None else total + self.penalty
        total = total if active_M.all() else total.where(active_M.view(axes), 0.0)
        return total.to(self.shared.dtype)
