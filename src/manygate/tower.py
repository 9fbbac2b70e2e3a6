"""Per-task towers: h_BTH -> logit_BT. Shape suffixes: B batch, T tasks, H hidden, C bias inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from manygate.layers import Units, glorot


class Towers(nn.Module):
    """T towers, the h_k of MMoE equation 6: each an MLP with ReLU and a linear head, all T as one batched product per layer.

    **Shape**: h_BTH -> logit_BT.

    >>> towers = Towers(tasks=2, inputs=16, hidden=(8,))
    >>> towers(torch.zeros(4, 2, 16)).shape, sum(p.numel() for p in towers.parameters())
    (torch.Size([4, 2]), 290)
    """

    def __init__(self, tasks: int, inputs: int, hidden: Sequence[int], dropout: float = 0.0):
        super().__init__()
        self.hidden = Units(tasks, inputs, hidden, dropout)
        self.weight = nn.Parameter(glorot(tasks, (inputs, *hidden)[-1], 1).squeeze(-1))
        self.bias = nn.Parameter(torch.zeros(tasks))

    def forward(self, h_BTH: Tensor) -> Tensor:
        return (self.hidden(h_BTH) * self.weight).sum(dim=-1) + self.bias


class BiasTower(nn.Module):
    """A shallow tower that reads the bias features (a position, say) and adds to the logits.

    Zhao et al., "Recommending What Video to Watch Next", RecSys 2019: the main network never sees the bias features, and at serving
    they are absent, which the null row and feature dropout have prepared it for. Departures: it is linear, it adds to every task's
    logit, and its embedding tables start at zero, so that it adds nothing at first.

    **Shape**: x_BC -> logit_BT.
    """

    def __init__(self, tasks: int, inputs: int):
        super().__init__()
        self.weight = nn.Parameter(glorot(inputs, tasks)) if inputs else nn.Parameter(torch.zeros(0, tasks))

    def forward(self, x_BC: Tensor) -> Tensor:
        return x_BC @ self.weight
