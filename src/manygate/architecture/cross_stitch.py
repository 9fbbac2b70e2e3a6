"""Cross-Stitch: Misra et al., "Cross-Stitch Networks for Multi-task Learning", CVPR 2016; a baseline of MMoE (section 6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import ModelConfig
from manygate.kernels.without_sympy import stacked
from manygate.layers.experts import Experts
from manygate.layers.units import Units

OWN_SHARE = 0.9


def near_identity(size: int) -> Tensor:
    """A square matrix with 0.9 on its diagonal and rows that sum to one, so that a stitch keeps the scale of what it mixes.

    >>> near_identity(3)
    tensor([[0.9000, 0.0500, 0.0500],
            [0.0500, 0.9000, 0.0500],
            [0.0500, 0.0500, 0.9000]])
    """
    if size == 1:
        return torch.ones(1, 1)
    other = (1 - OWN_SHARE) / (size - 1)
    matrix = torch.full((size, size), other)
    matrix.diagonal().add_(OWN_SHARE - other)
    return matrix


@final
class CrossStitch(Architecture):
    """A network for each task, and after every hidden layer a learned mixture of the tasks' units: x~_j = sum_k alpha_jk x_k.

    One T x T matrix a layer (equation 1 of the paper, for T tasks), the same for all its units. It starts near the identity with
    rows that sum to one, is spared weight decay, and learns ``stitch_rate`` times faster than the rest (the paper: 10^2 to 10^3
    with SGD). Departures: the networks start at random, not from trained single-task networks; embedding tables are shared;
    towers are plain.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> CrossStitch(inputs=100, tasks=2, hidden=(16, 8))(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 8])
    """

    widths: ClassVar[str] = "bottom_hidden"
    undecayed: ClassVar[tuple[str, ...]] = ("stitch",)

    def __init__(self, inputs: int, tasks: int, hidden: Sequence[int], stitch_rate: float = 10.0, dropout: float = 0.0):
        super().__init__()
        self.output_width, self.stitch_rate = hidden[-1], stitch_rate
        self.first = Experts(inputs, tasks, hidden[:1], dropout=dropout)
        self.later = nn.ModuleList(
            Units(tasks, below, (width,), dropout) for below, width in zip(hidden[:-1], hidden[1:], strict=True)
        )
        self.stitch = nn.Parameter(stacked([near_identity(tasks)] * len(hidden)))

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, tasks, bottom_widths(inputs, tasks, config), config.stitch_rate, config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        h_BTH = self.stitch[0] @ self.first(x_BD)[0]
        for layer, stitch_TT in zip(self.later, self.stitch[1:], strict=True):
            h_BTH = stitch_TT @ layer(h_BTH)
        return h_BTH

    def shared_layer(self) -> nn.Module:
        return self.later[-1] if len(self.later) else self.first

    def shared_parameters(self) -> list[nn.Parameter]:
        """Through the stitches every task trains every network."""
        return list(self.parameters())

    def learning_rates(self) -> dict[str, float]:
        return {"stitch": self.stitch_rate}
