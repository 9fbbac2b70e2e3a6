"""CGC and PLE: Tang et al., "Progressive Layered Extraction (PLE)", RecSys 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, gated, of_several
from manygate.architecture.level import Level, check_levels, levels_of, mixtures
from manygate.config import ModelConfig
from manygate.kernels.mixing import mix
from manygate.layers.gate import GateSettings


@final
class PLE(Architecture):
    """Progressive Layered Extraction, section 4.2; with one level it is Customized Gate Control (CGC), section 4.1.

    CGC: y^k = t^k(g^k(x)),  g^k(x) = w^k(x) S^k(x),  w^k(x) = softmax(W_g^k x),  S^k(x) = [E_(k,1) .. E_(k,m_k), E_(s,1) ..
    E_(s,m_s)]. PLE: g^{k,j}(x) = w^{k,j}(g^{k,j-1}(x)) S^{k,j}(x),  g^{k,0} = g^{s,0} = x.

    At level j task k's own experts and its gate read g^{k,j-1}; the shared experts and the shared gate read g^{s,j-1}. The shared
    gate mixes all experts of its level, every task's own ones too. The last level has none, and none is made that nothing above
    would read. A task may have no expert of its own, or none may be shared. Departures as in :class:`manygate.architecture.MMoE`.

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
        gate: GateSettings | None = None,
        gate_columns: tuple[int, ...] = (),
        dropout: float = 0.0,
        norm: bool = False,
    ):
        super().__init__()
        check_levels(levels)
        self.tasks, self.output_width, self.pick = len(levels[0].task_experts), levels[-1].hidden[-1], Pick(gate_columns)
        self.seen = levels[-1].seen()
        sees = [[*level.seen(), tuple(range(level.experts))] for level in levels]
        self.levels = nn.ModuleList(mixtures(inputs, levels, sees, gate, self.pick.width, dropout, norm))

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, levels_of(tasks, config, config.levels), **gated(inputs, config))

    def _run(self, x_BD: Tensor) -> tuple[Tensor, list[Tensor]]:
        """g^{k,L} of every task, and the tasks' gates of every level."""
        g, gates, read = x_BD, [], self.pick(x_BD)
        for level in self.levels:
            expert_BEH, gate_BGE = level(g, read)
            g = mix(gate_BGE, expert_BEH)
            gates.append(gate_BGE[:, : self.tasks])
        return g, gates

    def forward(self, x_BD: Tensor) -> Tensor:
        return self._run(x_BD)[0]

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(self._run(x_BD)[1])

    def shared_layer(self) -> nn.Module | None:
        return self.levels[-1] if self.shared_units() else None

    def shared_units(self) -> tuple[int, ...]:
        return of_several(self.seen)

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())
