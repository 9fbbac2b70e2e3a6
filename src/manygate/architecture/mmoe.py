"""MMoE: Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

from torch import Tensor, nn

from manygate.architecture.base import Architecture
from manygate.config import ModelConfig
from manygate.layers import Experts, mix


@final
class MMoE(Architecture):
    """Multi-gate Mixture-of-Experts, section 4.2.

    y_k = h_k(f^k(x)) (6),  f^k(x) = sum_i g^k(x)_i f_i(x) (7),  g^k(x) = softmax(W_gk x) (8).

    **Shape**: x_BD -> h_BTH. With ``dropout=0`` no departure from the paper; what it does not state: biases in the experts, and the
    initialisation (Glorot per expert and gate, zero biases). Departures of the default settings: dropout after every expert layer,
    the last included, and the optimizer's weight decay, gates included.

    >>> import torch
    >>> MMoE(inputs=100, tasks=2, experts=8, hidden=(16,))(torch.zeros(4, 100)).shape
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
        self.output_width = hidden[-1]
        self.experts = Experts(inputs, experts, hidden, gates=tasks, gate_bias=gate_bias, dropout=dropout)

    @classmethod
    def build(cls, inputs: int, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs, tasks, config.experts, config.expert_hidden, config.gate_bias, config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        expert_BEH, logit_BTE = self.experts(x_BD)
        return mix(logit_BTE.softmax(dim=-1), expert_BEH)

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        return (self.experts(x_BD)[1].softmax(dim=-1),)

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.experts.parameters())
