"""AdaTT: Li et al., "AdaTT: Adaptive Task-to-Task Fusion Network for Multitask Learning in Recommendations", KDD 2023."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, mixture_settings
from manygate.architecture.level import Level, check_experts, levels_of, mixtures
from manygate.config import ModelConfig
from manygate.kernels.mixing import mix
from manygate.layers.mixture import PLAIN, MixtureSettings


@final
class AdaTT(Architecture):
    """Adaptive task-to-task fusion: every task unit mixes all experts of its level and adds a plain sum of its own.

    f_t^l = AllExpGM(h_t^{l-1}, E^l) + NativeExpertLF(E_t^l):  a softmax gate over all experts, which reads the unit's own previous
    output, plus sum_i v_{t,i}^l E_{t,i}^l with learned v. Shared units (``shared_experts`` > 0; the paper's AdaTT, and AdaTT-sp
    without) are fused the same way at every level but the last.

    Departures: v starts at 1/m_t, the mean of a unit's m_t own experts, and is learned for m_t = 1 too; gates have no bias unless
    asked for.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> AdaTT(inputs=100, levels=[Level((2, 2), 0, (16,)), Level((1, 1), 0, (8,))])(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 8])
    """

    def __init__(
        self,
        inputs: int,
        levels: Sequence[Level],
        settings: MixtureSettings = PLAIN,
    ):
        super().__init__()
        self.tasks, self.output_width, self.pick = len(levels[0].task_experts), levels[-1].hidden[-1], Pick(settings.gate_columns)
        check_experts(levels)
        sees = [[tuple(range(level.experts))] * (self.tasks + 1) for level in levels]
        fused = mixtures(inputs, levels, sees, settings, dense=True)
        self.levels = nn.ModuleList(fused)
        self.natives = nn.ModuleList(
            Native([group.experts for group in level.groups()], [bool(seen) for seen in mixture.gates.sees])
            for level, mixture in zip(levels, fused, strict=True)
        )

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, levels_of(tasks, config, config.levels, shared=0), mixture_settings(inputs, config))

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

    def shared_layer(self) -> nn.Module:
        return self.levels[-1]

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())


class Native(nn.Module):
    """The weights v of each unit's own experts as rows over all of a level's, native_GE; zeros where nothing reads a unit."""

    undecayed = ("native",)

    def __init__(self, counts_of_units: Sequence[int], read: Sequence[bool]):
        super().__init__()
        self.experts = sum(counts_of_units)
        self.starts = tuple(sum(counts_of_units[:u]) for u in range(len(read)))
        self.counts = tuple(count if wanted else 0 for count, wanted in zip(counts_of_units, read, strict=False))
        native, start = torch.empty(sum(self.counts)), 0
        for count in self.counts:
            native[start : start + count] = 1 / max(count, 1)
            start += count
        self.native = nn.Parameter(native) if len(native) else None

    def forward(self) -> Tensor | float:
        if self.native is None:
            return 0.0
        parts = zip(self.starts, self.native.split(list(self.counts)), strict=True)
        rows = [nn.functional.pad(part, (start, self.experts - start - len(part))) for start, part in parts]
        return torch.stack(rows)
