"""Calls for which PyTorch would import sympy, half a second to two seconds, done without it.

- ``torch.cat`` and ``torch.stack`` of tensors on the device ``meta``, where models are first built: :func:`beside`,
  :func:`stacked`, and in :mod:`manygate.layers.experts` an empty matrix that is filled.
- ``torch.autograd.grad`` with ``grad_outputs``: :func:`gradients`.

``tests/kernels/test_without_sympy.py`` shows that each equals the call that it replaces, and that sympy stays away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def beside(matrices: Sequence[Tensor]) -> Tensor:
    """``torch.cat(matrices, dim=1)``.

    >>> beside([torch.zeros(2, 1), torch.ones(2, 2)])
    tensor([[0., 1., 1.],
            [0., 1., 1.]])
    """
    joined = torch.empty(len(matrices[0]), sum(matrix.shape[1] for matrix in matrices))
    start = 0
    for matrix in matrices:
        joined[:, start : start + matrix.shape[1]] = matrix
        start += matrix.shape[1]
    return joined


def stacked(matrices: Sequence[Tensor]) -> Tensor:
    """``torch.stack(matrices)``."""
    joined = torch.empty(len(matrices), *matrices[0].shape)
    for target, matrix in zip(joined, matrices, strict=True):
        target.copy_(matrix)
    return joined


def gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], upstream: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """``torch.autograd.grad(outputs, inputs, upstream, allow_unused=True)``.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> gradients([x * x], [x], [torch.tensor([1.0, 10.0])])
    (tensor([ 2., 40.]),)
    """
    with torch.enable_grad():
        return torch.autograd.grad(_End.apply(upstream, *outputs), inputs, allow_unused=True)


class _End(torch.autograd.Function):
    """A number of which the outputs' gradients are those given."""

    @staticmethod
    def forward(ctx: Any, upstream: Sequence[Tensor], *outputs: Tensor) -> Tensor:
        ctx.upstream = upstream
        return torch.zeros(())

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.upstream
