"""PLE: Tang et al., "Progressive Layered Extraction (PLE)", RecSys 2020, section 4.2.

At level j, for task k and with g^{k,0} = g^{s,0} = x, where s is the shared unit (the paper's equations of g^{k,j} and y^k):

    y^k = t^k(g^{k,N}(x))    g^{k,j}(x) = w^{k,j}(g^{k,j-1}(x)) S^{k,j}(x)    w^{k,j}(z) = softmax(W_g^{k,j} z)
    S^{k,j} = [E_(k,1) .. E_(k,m_k), E_(s,1) .. E_(s,m_s)]

Task k's own experts and its gate read g^{k,j-1}; the shared experts and the shared gate read g^{s,j-1}. The shared gate mixes all
experts of its level, every task's own ones too. With one level this is CGC (section 4.1, :mod:`manygate.architecture.cgc`).
:mod:`manygate.layers.equations` computes E, w and t one by one.

Departures: the last level has no shared gate, and no expert or gate is made that nothing above would read, neither of which changes
a prediction; a task may have no expert of its own, or none may be shared; and those of :mod:`manygate.architecture.mmoe`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, mixture_settings, of_several
from manygate.architecture.level import Level, check_levels, levels_of, mixtures
from manygate.config import ModelConfig
from manygate.kernels.mixing import mix
from manygate.layers.mixture import PLAIN, MixtureSettings


@final
class PLE(Architecture):
    """Progressive Layered Extraction. :class:`manygate.architecture.level.Level` lists the experts that each gate sees.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> levels = [Level(task_experts=(2, 1), shared_experts=2, hidden=(16,)), Level((1, 1), 2, (8,))]
    >>> PLE(inputs=100, levels=levels)(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 8])
    """

    def __init__(
        self,
        inputs: int,
        levels: Sequence[Level],
        settings: MixtureSettings = PLAIN,
    ):
        super().__init__()
        check_levels(levels)
        self.tasks, self.output_width, self.pick = len(levels[0].task_experts), levels[-1].hidden[-1], Pick(settings.gate_columns)
        self.shared_level = max((j for j, level in enumerate(levels) if of_several(level.seen())), default=None)
        self.seen = levels[-1 if self.shared_level is None else self.shared_level].seen()
        sees = [[*level.seen(), tuple(range(level.experts))] for level in levels]
        self.levels = nn.ModuleList(mixtures(inputs, levels, sees, settings))

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, levels_of(tasks, config, config.levels), mixture_settings(inputs, config))

    def _run(self, x_BD: Tensor) -> tuple[Tensor, list[Tensor]]:
        """g^{k,L} of every task, and the tasks' gates of every level."""
        g_BGH, gates, read_BF = x_BD, [], self.pick(x_BD)  # g^{k,0} = g^{s,0} = x
        for level in self.levels:
            expert_BEH, w_BGE = level(g_BGH, read_BF)  # every E, and w^{k,j}(g^{k,j-1}) with zeros outside S^{k,j}
            g_BGH = mix(w_BGE, expert_BEH)  # g^{k,j} = w^{k,j} S^{k,j}; g^{s,j} comes last
            gates.append(w_BGE[:, : self.tasks])
        return g_BGH, gates

    def forward(self, x_BD: Tensor) -> Tensor:
        return self._run(x_BD)[0]

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(self._run(x_BD)[1])

    def shared_layer(self) -> nn.Module | None:
        """The last level with experts that several tasks' gates see. What lies above it is a task's own."""
        return None if self.shared_level is None else self.levels[self.shared_level]

    def shared_units(self) -> tuple[int, ...]:
        return of_several(self.seen)

    def shared_above(self) -> list[nn.Parameter]:
        return []

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())
