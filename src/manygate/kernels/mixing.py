"""Mixtures of experts: one batched product of gate weights and expert outputs, or a weighted embedding bag on the CPU."""

from __future__ import annotations

import platform
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from manygate.kernels.onednn import members_first


def mix(gate_BGE: Tensor, expert_BEH: Tensor) -> Tensor:
    """Sum of the experts weighted by each gate (MMoE equation 7): h_BGH."""
    device = expert_BEH.device.type
    if device == "meta" or torch.is_autocast_enabled(device) or torch.compiler.is_compiling():
        return gate_BGE @ expert_BEH
    h_BGH: Tensor = _Mix.apply(gate_BGE, expert_BEH)
    return h_BGH


FEW_GATES, MANY_NUMBERS = 4, 2**18
"""For so few gates and so many numbers the experts' gradient is quicker as a sum of G outer products than as a batch of tiny
matrix products."""


class _Mix(torch.autograd.Function):
    """gate (..., G, E) @ expert (..., E, H)."""

    @staticmethod
    def forward(gate: Tensor, expert: Tensor) -> Tensor:
        return weighted_sums(gate, expert)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, h_gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        gate, expert = ctx.saved_tensors
        expert_gradient = None
        if ctx.needs_input_grad[1] and (expert.numel() < MANY_NUMBERS or gate.shape[-2] > FEW_GATES):
            expert_gradient = gate.mT @ h_gradient
        elif ctx.needs_input_grad[1]:
            expert_gradient = gate[..., 0, :, None] * h_gradient[..., 0, None, :]
            for g in range(1, gate.shape[-2]):
                expert_gradient.addcmul_(gate[..., g, :, None], h_gradient[..., g, None, :])
        return h_gradient @ expert.mT if ctx.needs_input_grad[0] else None, expert_gradient

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        return _Mix.apply(*members_first(info, in_dims, inputs)), 0


def weighted_sums(gate: Tensor, expert: Tensor) -> Tensor:
    """gate (..., G, E) @ expert (..., E, H), as bags of embeddings where that is quicker.

    A batch of products of 2 x 8 by 8 x 16 numbers runs at some 3 GFLOP/s. To FBGEMM, which PyTorch has on x86, the experts' outputs
    are a table, and a gate's mixture a bag of E of its rows with weights: four times faster.

    >>> weighted_sums(torch.tensor([[0.25, 0.75]]), torch.tensor([[4.0, 8.0], [0.0, 4.0]]))
    tensor([[1., 5.]])
    """
    suits = X86 and gate.device.type == "cpu" and gate.dtype == expert.dtype == torch.float32
    if not (suits and gate.numel() and gate.shape[:-2] == expert.shape[:-2]):
        return gate @ expert
    index, start = _bags(expert.shape[:-2].numel(), *gate.shape[-2:])
    table = expert.reshape(-1, expert.shape[-1])
    return F.embedding_bag(index, table, start, mode="sum", per_sample_weights=gate.reshape(-1)).view(*gate.shape[:-1], -1)


X86 = platform.machine().lower() in ("x86_64", "amd64")
_known_bags: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}


def _bags(rows: int, gates: int, experts: int) -> tuple[Tensor, Tensor]:
    """Which rows of the table each bag holds, and where each bag starts: those of fewer rows are the beginning of more."""
    index, start = _known_bags.get((gates, experts), (torch.empty(0), torch.empty(0)))
    if len(start) < rows * gates:
        with torch.inference_mode(False):  # kept for training, too
            row_BE = torch.arange(rows * experts, dtype=torch.int32).view(rows, 1, experts)
            index = row_BE.expand(rows, gates, experts).flatten()
            start = torch.arange(0, rows * gates * experts, experts, dtype=torch.int32)
        _known_bags[gates, experts] = index, start
    return index[: rows * gates * experts], start[: rows * gates]
