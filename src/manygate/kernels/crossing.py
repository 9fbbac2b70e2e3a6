"""x_0 * (x U V + b) + x, the low-rank cross layer, with few passes over its memory.

The products have a small inner dimension, so passes over (B, D) cost as much as they do. Here the bias and the residual are added
within other passes, and the gradients need no intermediate sums. Two layers of 1,024 rows, 351 columns and rank 32 take 5.6 ms
forward and backward on one thread, and as an expression 7.9 ms.

Shape suffixes: B batch, D input, K rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from manygate.kernels.onednn import members_first


def cross(first_BD: Tensor, x_BD: Tensor, down_DK: Tensor, up_KD: Tensor, bias_D: Tensor) -> Tensor:
    """Return ``first * (x @ down @ up + bias) + x``. It is differentiable once, and usable under ``torch.vmap``.

    >>> cross(torch.full((2, 3), 2.0), torch.ones(2, 3), torch.ones(3, 1), torch.ones(1, 3), torch.ones(3)).tolist()
    [[9.0, 9.0, 9.0], [9.0, 9.0, 9.0]]
    """
    if x_BD.device.type != "cpu" or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return first_BD * (x_BD @ down_DK @ up_KD + bias_D) + x_BD
    crossed_BD: Tensor = _Cross.apply(first_BD, x_BD, down_DK, up_KD, bias_D)[0]
    return crossed_BD


def _product_and(added: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """added + a @ b."""
    return torch.addmm(added, a, b) if a.ndim == 2 else torch.baddbmm(added, a, b)


class _Cross(torch.autograd.Function):
    """One member's tensors, or those of all members with the members' axis first."""

    @staticmethod
    def forward(first: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low = x @ down
        linear = _product_and(bias.unsqueeze(-2), low, up)
        return torch.addcmul(x, first, linear), low, linear

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, low, linear = output
        ctx.mark_non_differentiable(low, linear)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:4], low, linear)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor, ...]:
        first, x, down, up, low, linear = ctx.saved_tensors
        of_linear = gradient * first
        of_low = of_linear @ up.mT
        of_x = _product_and(gradient, of_low, down.mT)
        return gradient * linear, of_x, x.mT @ of_low, low.mT @ of_linear, of_linear.sum(dim=-2)

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *inputs: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, int, int]]:
        stacked = members_first(info, in_dims, inputs)
        outer = stacked[0].shape[:-2]
        flat = [value.flatten(0, len(outer) - 1) for value in stacked] if len(outer) > 1 else stacked
        results: tuple[Tensor, ...] = _Cross.apply(*flat)
        return tuple(value.unflatten(0, outer) if len(outer) > 1 else value for value in results), (0, 0, 0)
