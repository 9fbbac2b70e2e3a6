"""MMoE: Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, gated
from manygate.config import ModelConfig
from manygate.kernels.mixing import mix
from manygate.layers.gate import GateSettings
from manygate.layers.mixture import Group, Mixture


@final
class MMoE(Architecture):
    """Multi-gate Mixture-of-Experts, section 4.2.

    y_k = h_k(f^k(x)) (6),  f^k(x) = sum_i g^k(x)_i f_i(x) (7),  g^k(x) = softmax(W_gk x) (8).

    **Shape**: x_BD -> h_BTH. With ``dropout=0`` no departure from the paper; what it does not state: biases in the experts, and the
    initialisation (Glorot per expert and gate, zero biases). Departures of the default settings: dropout after every expert layer,
    the last included, and the optimizer's weight decay, gates included. For MMoE as the top layer of a shared bottom (section
    6.4.1) set ``lower_hidden``.

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
        gate: GateSettings | None = None,
        gate_columns: tuple[int, ...] = (),
        dropout: float = 0.0,
        norm: bool = False,
    ):
        super().__init__()
        self.output_width, self.pick = hidden[-1], Pick(gate_columns)
        self.level = Mixture(
            inputs,
            [Group(experts, tuple(hidden))],
            sees=[range(experts)] * tasks,
            gate=gate,
            gate_inputs=self.pick.width,
            dropout=dropout,
            norm=norm,
        )

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, tasks, config.experts, config.expert_hidden, **gated(inputs, config))

    def forward(self, x_BD: Tensor) -> Tensor:
        expert_BEH, gate_BTE = self.level(x_BD, self.pick(x_BD))
        return mix(gate_BTE, expert_BEH)

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        return (self.level.weights(x_BD, self.pick(x_BD)),)

    def shared_layer(self) -> nn.Module:
        return self.level

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())
