"""OMoE: one gate for all tasks (MMoE section 4.2, Figure 1b; the mixture layer of equation 5)."""

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
class OMoE(Architecture):
    """One-gate Mixture-of-Experts: y_k = h_k(f(x)), f(x) = sum_i g(x)_i f_i(x), g(x) = softmax(W_g x).

    **Shape**: x_BD -> h_B1H, the same h for every task. Departures as in :class:`manygate.architecture.MMoE`.

    >>> import torch
    >>> OMoE(inputs=100, tasks=2, experts=8, hidden=(16,))(torch.zeros(4, 100)).shape
    torch.Size([4, 1, 16])
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
        self.tasks, self.output_width, self.pick = tasks, hidden[-1], Pick(gate_columns)
        self.level = Mixture(
            inputs,
            [Group(experts, tuple(hidden))],
            sees=[range(experts)],
            gate=gate,
            gate_inputs=self.pick.width,
            dropout=dropout,
            norm=norm,
        )

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, tasks, config.experts, config.expert_hidden, **gated(inputs, config))

    def forward(self, x_BD: Tensor) -> Tensor:
        expert_BEH, gate_B1E = self.level(x_BD, self.pick(x_BD))
        return mix(gate_B1E, expert_BEH)

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        return (self.level.weights(x_BD, self.pick(x_BD)).expand(-1, self.tasks, -1),)

    def shared_layer(self) -> nn.Module:
        return self.level

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())
