"""Customized Sharing: one of the simple ways to share in PLE's overview (Tang et al., RecSys 2020, section 2.1 and Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import ModelConfig
from manygate.layers.experts import Experts


@final
class CustomizedSharing(Architecture):
    """A bottom that all tasks share and one for each task: y_k = h_k(fuse(f_k(x), f_s(x))).

    ``fusion``: ``concat`` (the default; the tower reads 2 H numbers), ``sum`` or ``mean``.

    **Shape**: x_BD -> h_BTH, or h_BT(2H) with concat.

    >>> import torch
    >>> CustomizedSharing(inputs=100, tasks=2, hidden=(16,))(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 32])
    """

    widths: ClassVar[str] = "bottom_hidden"

    def __init__(
        self,
        inputs: int,
        tasks: int,
        hidden: Sequence[int],
        fusion: Literal["concat", "sum", "mean"] = "concat",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.tasks, self.fusion = tasks, fusion
        self.output_width = hidden[-1] * (2 if fusion == "concat" else 1)
        self.bottoms = Experts(inputs, tasks + 1, hidden, dropout=dropout)

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, tasks, bottom_widths(inputs, tasks, config), config.fusion or "concat", config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        bottom_BNH, _ = self.bottoms(x_BD)
        own_BTH, shared_B1H = bottom_BNH.split([self.tasks, 1], dim=1)
        if self.fusion == "concat":
            return torch.cat([own_BTH, shared_B1H.expand_as(own_BTH)], dim=-1)
        return own_BTH + shared_B1H if self.fusion == "sum" else (own_BTH + shared_B1H) / 2

    def shared_layer(self) -> nn.Module:
        return self.bottoms

    def shared_units(self) -> tuple[int, ...]:
        return (self.tasks,)

    def shared_parameters(self) -> list[nn.Parameter]:
        """All bottoms are stacked, so the tasks' own ones are among them."""
        return list(self.parameters())
