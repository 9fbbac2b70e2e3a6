"""AdaTT: Li et al., "AdaTT: Adaptive Task-to-Task Fusion Network for Multitask Learning in Recommendations", KDD 2023."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, gate_settings
from manygate.architecture.ple import Level, levels_of
from manygate.config import ModelConfig
from manygate.gate import GateSettings
from manygate.layers import mix
from manygate.mixture import Mixture


@final
class AdaTT(Architecture):
    """Adaptive task-to-task fusion: every task unit mixes all experts of its level and adds a plain sum of its own.

    f_t^l = AllExpGM(h_t^{l-1}, E^l) + NativeExpertLF(E_t^l):  a softmax gate over all experts, which reads the unit's own previous
    output, plus sum_i v_{t,i}^l E_{t,i}^l with learned v. Shared units (``shared_experts`` > 0; the paper's AdaTT, and AdaTT-sp
    without) are fused the same way at every level but the last.

    Departures: v starts at 1/m_t, the mean of a unit's m_t own experts.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> AdaTT(inputs=100, levels=[Level((2, 2), 0, (16,)), Level((1, 1), 0, (8,))])(torch.zeros(4, 100)).shape
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
        self.tasks, self.output_width, self.pick = len(levels[0].task_experts), levels[-1].hidden[-1], Pick(gate_columns)
        self.levels, self.natives = nn.ModuleList(), nn.ModuleList()
        for j, level in enumerate(levels):
            above = any(later.shared_experts for later in levels[j + 1 :])
            groups = level.groups() if above or level.shared_experts else level.groups()[:-1]
            units = self.tasks + above
            self.levels.append(
                Mixture(
                    levels[j - 1].hidden[-1] if j else inputs,
                    groups,
                    sees=[range(level.experts)] * units,
                    gate=gate,
                    own_inputs=j > 0,
                    gate_inputs=self.pick.width,
                    dropout=dropout,
                    norm=norm,
                    dense=True,
                )
            )
            self.natives.append(Native([group.experts for group in groups[:units]], level.experts))

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(
            inputs.width,
            levels_of(tasks, config, config.levels, shared=0),
            gate_settings(config),
            inputs.gate_columns,
            config.dropout,
            config.expert_norm,
        )

    def _run(self, x_BD: Tensor) -> tuple[Tensor, list[Tensor]]:
        """f_t^L of every task, and the tasks' gates of every level."""
        f, gates, read = x_BD, [], self.pick(x_BD)
        for level, native in zip(self.levels, self.natives, strict=True):
            expert_BEH, gate_BGE = level(f, read)
            f = mix(gate_BGE + native(), expert_BEH)
            gates.append(gate_BGE[:, : self.tasks])
        return f, gates

    def forward(self, x_BD: Tensor) -> Tensor:
        return self._run(x_BD)[0]

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(self._run(x_BD)[1])

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())


class Native(nn.Module):
    """The weights v of each unit's own experts, as rows over all experts of a level: native_GE."""

    def __init__(self, own: Sequence[int], experts: int):
        super().__init__()
        self.own, self.experts = tuple(own), experts
        native, start = torch.empty(sum(own)), 0
        for count in own:
            native[start : start + count] = 1 / max(count, 1)
            start += count
        self.native = nn.Parameter(native)

    def forward(self) -> Tensor:
        rows, start = [], 0
        for part in self.native.split(list(self.own)):
            rows.append(nn.functional.pad(part, (start, self.experts - start - len(part))))
            start += len(part)
        return torch.stack(rows)
