"""x @ W + b in float32 by oneDNN, which PyTorch carries but does not use for ``@``.

PyTorch multiplies float32 matrices with MKL, which on AMD processors reaches less than half of what oneDNN does (181 against 384
GFLOP/s on two cores of an EPYC with AVX-512, measured by ``benchmarks/epoch.py``). The arithmetic is the same float32.
"""

from __future__ import annotations

import platform
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_ONEDNN = (
    torch.backends.mkldnn.is_available()
    and platform.machine().lower() in ("x86_64", "amd64")
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
SMALL = 2**18
"""Products of fewer multiplications gain nothing: oneDNN takes some 10 microseconds to start."""


def hidden_and_linear(x_BD: Tensor, weight_DN: Tensor, bias_H: Tensor) -> tuple[Tensor, Tensor]:
    """One product for a hidden layer and what is linear beside it: ``relu(x @ W[:, :H] + b)`` and ``x @ W[:, H:]``.

    Differentiable, and usable under ``torch.vmap``. Beside the product, passes over its (B, N) result are what costs, so there are
    few: the bias is added within the product, and the gradients of both parts are written into one matrix.

    >>> hidden, linear = hidden_and_linear(torch.ones(2, 3), -torch.ones(3, 4), torch.zeros(3))
    >>> hidden.tolist(), linear.tolist()
    ([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[-3.0], [-3.0]])
    """
    hidden_BH, linear_BG = _HiddenAndLinear.apply(x_BD, weight_DN, bias_H) if _suits(x_BD) else _plain(x_BD, weight_DN, bias_H)
    return hidden_BH, linear_BG


def _suits(x: Tensor) -> bool:
    return (
        _ONEDNN
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _plain(x_BD: Tensor, weight_DN: Tensor, bias_H: Tensor) -> tuple[Tensor, Tensor]:
    width = bias_H.shape[-1]
    hidden_BH, linear_BG = (x_BD @ weight_DN).split([width, weight_DN.shape[-1] - width], dim=-1)
    return (hidden_BH + bias_H).relu(), linear_BG


def _large(x: Tensor, weight: Tensor) -> bool:
    return x.shape[-2] * weight.shape[-2] * weight.shape[-1] >= SMALL


def _times(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """``a @ b.mT + bias`` for matrices (B, K), (N, K) and a bias (N,), or for stacks of them, also stacks of stacks."""
    if a.ndim > 2:
        return torch.stack([_times(a[m], b[m], None if bias is None else bias[m]) for m in range(len(a))])
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")
    return product


class _HiddenAndLinear(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        width = bias.shape[-1]
        y = _times(x, weight.mT, F.pad(bias, (0, weight.shape[-1] - width)))
        return y[..., :width].relu_(), y[..., width:]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], inputs[1], output[0])

    @staticmethod
    def backward(ctx: Any, hidden: Tensor, linear: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, positive = ctx.saved_tensors
        width = positive.shape[-1]
        gradient = x.new_empty(*x.shape[:-1], weight.shape[-1])
        torch.ops.aten.threshold_backward.grad_input(hidden, positive, 0, grad_input=gradient[..., :width])
        gradient[..., width:] = linear
        return (
            _times(gradient, weight) if ctx.needs_input_grad[0] else None,
            _times(x.mT, gradient.mT) if ctx.needs_input_grad[1] else None,
            gradient[..., :width].sum(dim=-2) if ctx.needs_input_grad[2] else None,
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        x, weight, bias = (
            value.expand(info.batch_size, *value.shape) if axis is None else value.movedim(axis, 0)
            for value, axis in zip(inputs, in_dims, strict=True)
        )
        if _large(x, weight):
            hidden, linear = _HiddenAndLinear.apply(x, weight, bias)
        else:
            hidden, linear = _plain(x, weight, bias.unsqueeze(1))
        return (hidden, linear), (0, 0)
