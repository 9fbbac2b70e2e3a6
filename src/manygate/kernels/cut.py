"""The identity, with a gradient that stops.

Shape suffixes: E units side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from manygate.kernels.onednn import members_first


def cut(value: Tensor, units: Sequence[int] | None = None) -> Tensor:
    """Return the same numbers. What is computed from them has no gradient by ``value``, but has one by the result.

    ``units`` are the indices of the last axis but one at which the gradient stops. None means all. The result equals
    ``value.detach().requires_grad_()``, which ``torch.vmap`` forbids.

    >>> value = torch.ones(2, 3, requires_grad=True)
    >>> after = cut(value, units=[1])
    >>> value_gradient, after_gradient = torch.autograd.grad(after.sum(), [value, after])
    >>> value_gradient.tolist(), after_gradient.tolist()
    ([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    """
    result: Tensor = _Cut.apply(value, None if units is None else tuple(units))
    return result


def unit_mask(units: Sequence[int], like: Tensor) -> Tensor:
    """Return 1 for each of the units and 0 for the others, as a factor (E, 1) of the last two axes of ``like``.

    >>> unit_mask([2], torch.zeros(5, 3, 4)).tolist()
    [[0.0], [0.0], [1.0]]
    """
    rows = [[float(unit in units)] for unit in range(like.shape[-2])]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


class _Cut(torch.autograd.Function):
    @staticmethod
    def forward(value: Tensor, units: tuple[int, ...] | None) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, tuple[int, ...] | None], output: Tensor) -> None:
        ctx.units = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None]:
        return None if ctx.units is None else gradient * (1 - unit_mask(ctx.units, gradient)), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], value: Tensor, units: tuple[int, ...] | None) -> tuple[Tensor, int]:
        return _Cut.apply(*members_first(info, in_dims[:1], [value]), units), 0
