"""OMoE: one gate for all tasks (MMoE section 4.2, Figure 1b; the mixture layer of equation 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

from torch import Tensor, nn

from manygate.architecture.base import Architecture
from manygate.config import ModelConfig
from manygate.layers import Experts, mix


@final
class OMoE(Architecture):
    """One-gate Mixture-of-Experts: y_k = h_k(f(x)), f(x) = sum_i g(x)_i f_i(x), g(x) = softmax(W_g x).

    **Shape**: x_BD -> h_BTH, the same h for every task. Departures as in :class:`manygate.architecture.MMoE`.

    >>> import torch
    >>> OMoE(inputs=100, tasks=2, experts=8, hidden=(16,))(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 16])
    """

    def __init__(
        self,
        inputs: int,
        tasks: int,
        experts: int,
        hidden: Sequence[int],
        gate_bias: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.tasks, self.output_width = tasks, hidden[-1]
        self.experts = Experts(inputs, experts, hidden, gates=1, gate_bias=gate_bias, dropout=dropout)

    @classmethod
    def build(cls, inputs: int, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs, tasks, config.experts, config.expert_hidden, config.gate_bias, config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        expert_BEH, logit_B1E = self.experts(x_BD)
        return mix(logit_B1E.softmax(dim=-1), expert_BEH).expand(-1, self.tasks, -1)

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        return (self.experts(x_BD)[1].softmax(dim=-1).expand(-1, self.tasks, -1),)

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.experts.parameters())
