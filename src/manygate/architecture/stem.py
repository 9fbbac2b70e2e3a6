"""STEM: Su et al., "STEM: Unleashing the Power of Embeddings for Multi-task Recommendation", AAAI 2024."""

from __future__ import annotations

from typing import ClassVar, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, mixture_settings, of_several
from manygate.architecture.level import Level, levels_of
from manygate.config import ModelConfig
from manygate.errors import InputError, setting
from manygate.kernels.mixing import mix
from manygate.layers.mixture import PLAIN, Mixture, MixtureSettings


@final
class STEM(Architecture):
    """STEM-Net: embeddings of its own for each task beside shared ones, and a gate that reads all and trains its own.

    Task t's experts and gate read task t's embedding, the shared experts the shared one. All Forward Task-specific Backward: task
    t's gate mixes all experts, and the gradient stops at the experts of the other tasks:
    h_t = sum_{e own or shared} g_t(e) f_e + sum_{e of others} g_t(e) stop(f_e).

    ``inputs`` is the width of one of the T + 1 inputs. Departures: dense numbers, which have no embedding, are the same in all of
    them; gates of chosen features (``gate_columns``) read the shared embedding.

    **Shape**: x_BD with D = (T + 1) inputs, the tasks' own first -> h_BTH.

    >>> import torch
    >>> STEM(inputs=10, level=Level((2, 2), 2, (16,)))(torch.zeros(4, 30)).shape
    torch.Size([4, 2, 16])
    """

    own_embeddings: ClassVar[bool] = True

    def __init__(
        self,
        inputs: int,
        level: Level,
        settings: MixtureSettings = PLAIN,
    ):
        super().__init__()
        self.tasks, self.output_width, self.pick = len(level.task_experts), level.hidden[-1], Pick(settings.gate_columns)
        if not level.shared_experts:
            raise InputError(
                f"{setting('shared_experts')}: STEM needs at least one, since its shared embedding has no other reader."
            )
        self.wiring, self.width = level, inputs
        self.level = Mixture(
            inputs,
            level.groups(),
            sees=[range(level.experts)] * self.tasks,
            settings=settings,
            own_inputs=True,
        )

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        (level,) = levels_of(tasks, config, 1)
        return cls(inputs.width, level, mixture_settings(inputs, config))

    def _level(self, x_BD: Tensor) -> tuple[Tensor, Tensor]:
        x_BSD = x_BD.unflatten(-1, (self.tasks + 1, self.width))
        expert_BEH, gate_BTE = self.level(x_BSD, self.pick(x_BSD[:, -1]))
        return expert_BEH, gate_BTE

    def forward(self, x_BD: Tensor) -> Tensor:
        expert_BEH, gate_BTE = self._level(x_BD)
        seen = self.wiring.seen()
        trains_TE = torch.tensor(
            [[float(e in experts_of_task) for e in range(self.wiring.experts)] for experts_of_task in seen], device=x_BD.device
        )
        trains_TE = trains_TE.to(gate_BTE.dtype)
        return mix(gate_BTE * trains_TE, expert_BEH) + mix(gate_BTE * (1 - trains_TE), expert_BEH.detach())

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (self._level(x_BD)[1],)

    def shared_layer(self) -> nn.Module:
        return self.level

    def shared_units(self) -> tuple[int, ...]:
        return of_several(self.wiring.seen())

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those of the shared experts; a bank that holds shared and own experts counts as shared."""
        return list(self.level.banks[-1].parameters())
