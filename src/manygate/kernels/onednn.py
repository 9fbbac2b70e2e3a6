"""relu(x @ W + b) with linear columns beside it, in float32 by oneDNN, which PyTorch carries but does not use for ``@``.

PyTorch multiplies float32 matrices with MKL, which on AMD processors reaches less than half of what oneDNN does (181 against 384
GFLOP/s on two cores of an EPYC with AVX-512, measured by ``benchmarks/epoch.py``). The arithmetic is the same float32. Beside the
products, passes over their results are what costs, so there are few: the bias is added within the product, ReLU goes where the
next layer reads, and the gradients of both parts are written into one matrix.

Shape suffixes: B batch, D input, N = H + U columns of W, of which H hidden and U linear, S inputs side by side.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_ONEDNN = (
    torch.backends.mkldnn.is_available()
    and platform.machine().lower() in ("x86_64", "amd64")
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
SMALL = 2**21
"""Products of fewer multiplications are MKL's: oneDNN takes some 20 microseconds to start, and has no batched product. A product of
2**21 takes oneDNN two thirds of MKL's time on an EPYC (1,024 x 64 times 64 x 32)."""


def hidden_and_linear(x_BD: Tensor, weight_DN: Tensor, bias_H: Tensor) -> tuple[Tensor, Tensor]:
    """One product for a hidden layer and what is linear beside it: ``relu(x @ W[:, :H] + b)`` and ``x @ W[:, H:]``.

    Differentiable, and usable under ``torch.vmap``.

    >>> hidden, linear = hidden_and_linear(torch.ones(2, 3), -torch.ones(3, 4), torch.zeros(3))
    >>> hidden.tolist(), linear.tolist()
    ([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[-3.0], [-3.0]])
    """
    if not suits(x_BD):
        return _plain(x_BD, weight_DN, bias_H)
    hidden_BH, linear_BU = _SideBySide.apply(x_BD.unsqueeze(-2), weight_DN.unsqueeze(0), bias_H.unsqueeze(0))
    return hidden_BH, linear_BU


def side_by_side(x_BSD: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The same for S inputs, each with a matrix of its own: all hidden units one after the other, and all linear columns.

    ``layers`` are pairs of weights (S_i, D, N_i) and biases (S_i, H_i); the first reads the first S_1 inputs, and so on. The
    results are (B, sum of S_i H_i) and (B, sum of S_i U_i).

    >>> layers = [(torch.ones(2, 3, 4), torch.zeros(2, 3)), (torch.ones(1, 3, 5), torch.zeros(1, 5))]
    >>> hidden, linear = side_by_side(torch.ones(7, 3, 3), layers)
    >>> hidden.shape, linear.shape
    (torch.Size([7, 11]), torch.Size([7, 2]))
    """
    flat = [value for layer in layers for value in layer]
    if suits(x_BSD):
        hidden_BN, linear_BN = _SideBySide.apply(x_BSD, *flat)
        return hidden_BN, linear_BN
    hidden, linear = [], []
    for start, weight_SDN, bias_SH in _placed(flat):
        x_SBD = x_BSD[:, start : start + len(weight_SDN)].transpose(0, 1)
        hidden_SBH, linear_SBU = _plain(x_SBD, weight_SDN, bias_SH.unsqueeze(1))
        hidden.append(hidden_SBH.transpose(0, 1).flatten(1))
        linear.append(linear_SBU.transpose(0, 1).flatten(1))
    return torch.cat(hidden, dim=-1), torch.cat(linear, dim=-1)


def suits(x: Tensor) -> bool:
    """Return whether the kernels of oneDNN can read a tensor. Others are for :func:`times` only while they are small."""
    return (
        _ONEDNN
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _plain(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    width = bias.shape[-1]
    hidden, linear = (x @ weight).split([width, weight.shape[-1] - width], dim=-1)
    return (hidden + bias).relu(), linear


def _placed(flat: Sequence[Tensor]) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Each layer's first input, weight and bias; the axis of inputs is the third from the weight's end."""
    start = 0
    for weight, bias in zip(flat[::2], flat[1::2], strict=True):
        yield start, weight, bias
        start += weight.shape[-3]


def times(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``a @ b.mT + bias`` for stacks (..., B, K), (..., N, K) and a bias (..., N), of oneDNN where it is faster."""
    small = a.shape[-2] * a.shape[-1] * b.shape[-2] < SMALL
    if a.ndim > 2 and a.shape[:-2].numel() == 1:
        product = times(a.flatten(0, -3).squeeze(0), b.flatten(0, -3).squeeze(0), None if bias is None else bias.flatten())
        return product.view(*a.shape[:-1], b.shape[-2])
    if small:
        product = a @ b.mT
        return product if bias is None else product.add_(bias.unsqueeze(-2))
    if a.ndim > 2:
        return torch.stack([times(a[m], b[m], None if bias is None else bias[m]) for m in range(len(a))])
    if a.stride(-1) != 1 and b.stride(-1) != 1 and a.shape[0] > b.shape[0] and bias is None:
        return times(b, a).mT.contiguous()  # a weight's gradient: the smaller of both is the one that is transposed
    linear: Tensor = torch.ops.mkldnn._linear_pointwise(a, _dense(b), bias, "none", [], "")
    return linear


def _dense(b: Tensor) -> Tensor:
    """Copy a second factor that is a part of a wider matrix. oneDNN would need a thousand times as long to read it where it lies.

    The first factor may be a part.
    """
    return b if b.is_contiguous() or b.mT.is_contiguous() else b.contiguous()


class _SideBySide(torch.autograd.Function):
    """x (..., B, S, D), weights (..., S_i, D, N_i), biases (..., S_i, H_i) -> hidden and linear (..., B, columns)."""

    @staticmethod
    def forward(x: Tensor, *flat: Tensor) -> tuple[Tensor, Tensor]:
        sizes = [(weight.shape[-3], weight.shape[-1], bias.shape[-1]) for _, weight, bias in _placed(flat)]
        if [inputs for inputs, _, _ in sizes] == [1]:  # one product, of which both parts are views
            weight, bias = flat
            width = bias.shape[-1]
            y = times(x.squeeze(-2), weight.squeeze(-3).mT, _padded(bias.squeeze(-2), weight))
            hidden = y[..., :width]  # what mixes it wants its rows side by side
            return hidden.clamp_min(0) if width < weight.shape[-1] else hidden.relu_(), y[..., width:]
        hidden = x.new_empty(*x.shape[:-2], sum(inputs * width for inputs, _, width in sizes))
        linear = x.new_empty(*x.shape[:-2], sum(inputs * (columns - width) for inputs, columns, width in sizes))
        for (start, weight, bias), at in zip(_placed(flat), _columns(sizes), strict=True):
            width = bias.shape[-1]
            y = times(_reads(x, start, weight), weight.mT, _padded(bias, weight))
            torch.clamp_min(y[..., :width], 0, out=_part(hidden, at[0], weight, width))
            _part(linear, at[1], weight, weight.shape[-1] - width).copy_(y[..., width:])
        return hidden, linear

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], output[0], *inputs[1:])

    @staticmethod
    def backward(ctx: Any, hidden_gradient: Tensor, linear_gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, hidden, *flat = ctx.saved_tensors
        sizes = [(weight.shape[-3], weight.shape[-1], bias.shape[-1]) for _, weight, bias in _placed(flat)]
        single = [inputs for inputs, _, _ in sizes] == [x.shape[-2]] == [1]
        asked = _asked(ctx)
        x_gradient = torch.zeros_like(x) if asked[0] and not single else None
        gradients: list[Tensor | None] = []
        for number, ((start, weight, bias), at) in enumerate(zip(_placed(flat), _columns(sizes), strict=True)):
            width, reads = bias.shape[-1], _reads(x, start, weight)
            gradient = x.new_empty(*reads.shape[:-1], weight.shape[-1])
            torch.ops.aten.threshold_backward.grad_input(
                _part(hidden_gradient, at[0], weight, width),
                _part(hidden, at[0], weight, width),
                0,
                grad_input=gradient[..., :width],
            )
            gradient[..., width:] = _part(linear_gradient, at[1], weight, weight.shape[-1] - width)
            if single and asked[0]:
                x_gradient = times(gradient, weight).transpose(-2, -3)
            elif x_gradient is not None:
                _reads(x_gradient, start, weight).copy_(times(gradient, weight))
            gradients.append(times(reads.mT, gradient.mT) if asked[1 + 2 * number] else None)
            gradients.append(gradient[..., :width].sum(dim=-2) if asked[2 + 2 * number] else None)
        return x_gradient, *gradients

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        hidden, linear = _SideBySide.apply(*members_first(info, in_dims, inputs))
        return (hidden, linear), (0, 0)


def _padded(bias: Tensor, weight: Tensor) -> Tensor:
    """The bias, and zeros for the linear columns."""
    linear = weight.shape[-1] - bias.shape[-1]
    return F.pad(bias, (0, linear)) if linear else bias


def members_first(info: Any, in_dims: Sequence[int | None], inputs: Sequence[Tensor]) -> list[Tensor]:
    """What a function gets for all members of ``torch.vmap`` at once: each input with the members' axis first."""
    return [
        value.expand(info.batch_size, *value.shape) if axis is None else value.movedim(axis, 0)
        for value, axis in zip(inputs, in_dims, strict=True)
    ]


def _asked(ctx: Any) -> list[bool]:
    """Which gradients this pass asks for. ``ctx.needs_input_grad`` names those that any pass might: of a pass that asks for the
    input's gradient alone it would make one that computes the weights' too. What torch cannot say of leaves counts as asked for.
    """
    nodes = [node for node, _ in ctx.next_functions]
    return [node is not None and (hasattr(node, "variable") or torch._C._will_engine_execute_node(node)) for node in nodes]


def _columns(sizes: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Where each layer's hidden and linear columns start."""
    hidden = linear = 0
    for inputs, columns, width in sizes:
        yield hidden, linear
        hidden, linear = hidden + inputs * width, linear + inputs * (columns - width)


def _reads(x: Tensor, start: int, weight: Tensor) -> Tensor:
    """What a layer reads: x (..., B, S, D) -> (..., S_i, B, D)."""
    return x.narrow(-2, start, weight.shape[-3]).transpose(-2, -3)


def _part(columns: Tensor, start: int, weight: Tensor, width: int) -> Tensor:
    """A layer's columns: (..., B, columns) -> (..., S_i, B, width)."""
    inputs = weight.shape[-3]
    return columns.narrow(-1, start, inputs * width).unflatten(-1, (inputs, width)).transpose(-2, -3)
