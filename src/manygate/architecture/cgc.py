"""CGC: Tang et al., "Progressive Layered Extraction (PLE)", RecSys 2020, section 4.1; PLE of one level.

    y^k = t^k(g^k(x))    g^k(x) = w^k(x) S^k(x)    w^k(x) = softmax(W_g^k x)    S^k = [E_(k,1) .. E_(k,m_k), E_(s,1) .. E_(s,m_s)]

S^k stacks task k's own experts and the shared ones; all experts and gates read x. Departures as in
:mod:`manygate.architecture.ple`.
"""

from __future__ import annotations

from typing import Self, final

from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, mixture_settings
from manygate.architecture.level import Level, levels_of
from manygate.architecture.ple import PLE
from manygate.config import ModelConfig
from manygate.layers.mixture import PLAIN, MixtureSettings


@final
class CGC(Architecture):
    """Customized Gate Control.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> cgc = CGC(inputs=100, level=Level(task_experts=(2, 2), shared_experts=4, hidden=(16,)))
    >>> cgc(torch.zeros(4, 100)).shape, sum(p.numel() for p in cgc.parameters())
    (torch.Size([4, 2, 16]), 14128)
    """

    def __init__(
        self,
        inputs: int,
        level: Level,
        settings: MixtureSettings = PLAIN,
    ):
        super().__init__()
        self.ple = PLE(inputs, [level], settings)
        self.output_width = self.ple.output_width

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        (level,) = levels_of(tasks, config, 1)
        return cls(inputs.width, level, mixture_settings(inputs, config))

    def forward(self, x_BD: Tensor) -> Tensor:
        g_BTH: Tensor = self.ple(x_BD)  # g^k(x) = w^k(x) S^k(x)
        return g_BTH

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        return self.ple.gates(x_BD)

    def shared_layer(self) -> nn.Module | None:
        return self.ple.shared_layer()

    def shared_units(self) -> tuple[int, ...]:
        return self.ple.shared_units()

    def shared_above(self) -> list[nn.Parameter]:
        return self.ple.shared_above()

    def shared_parameters(self) -> list[nn.Parameter]:
        return self.ple.shared_parameters()
