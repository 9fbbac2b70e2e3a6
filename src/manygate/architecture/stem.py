"""STEM: Su et al., "STEM: Unleashing the Power of Embeddings for Multi-task Recommendation", AAAI 2024."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, mixture_settings, of_several
from manygate.architecture.level import Level, levels_of
from manygate.config import ModelConfig
from manygate.errors import InputError, setting
from manygate.kernels.mixing import mix
from manygate.layers.mixture import PLAIN, Mixture, MixtureSettings
from manygate.layers.units import Units


@final
class STEM(Architecture):
    """STEM-Net: embeddings of its own for each task beside shared ones, and a gate that reads all and trains its own.

    Task t's experts and gate read task t's embedding, the shared experts the shared one. All Forward Task-specific Backward: task
    t's gate mixes all experts, and the gradient stops at the experts of the other tasks:
    h_t = sum_{e own or shared} g_t(e) f_e + sum_{e of others} g_t(e) stop(f_e).

    ``inputs`` is the width of one of the T + 1 inputs.

    Departures from the authors' code (github.com/LiangcaiSu/STEM, models/STEM.py), each with what gives theirs:

    - A gate reads the task's own embedding; theirs reads its sum with the shared one (``gate_input="sum"``).
    - A gate is a linear map without bias; theirs has hidden layers of 128 and 64 ReLU units (``gate_hidden=(128, 64)``), and biases
      (``gate_bias`` adds those of the last layer).
    - There is one level; theirs may be stacked, with a gate for the shared unit between. Their default is one, too.
    - Dense numbers, which have no embedding, are the same in all inputs; theirs have an embedding each.
    - Gates of chosen features (``gate_columns``) read the shared embedding; theirs have no such choice.

    Experts end in ReLU in both: their ``output_activation=None`` is that of an output layer, which their experts do not have.

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
        gate_input: Literal["own", "sum"] = "own",
        gate_hidden: Sequence[int] = (),
    ):
        super().__init__()
        self.tasks, self.output_width, self.pick = len(level.task_experts), level.hidden[-1], Pick(settings.gate_columns)
        if not level.shared_experts:
            raise InputError(
                f"{setting('shared_experts')}: STEM needs at least one, since its shared embedding has no other reader."
            )
        if gate_input == "sum" and settings.gate_columns:
            raise InputError(
                f"{setting('stem_gate_input')}: gates that read the sum of the embeddings read no chosen features. "
                f"Leave out {setting('gate_features')}, or choose own."
            )
        self.wiring, self.width, self.sums = level, inputs, gate_input == "sum"
        apart = self.sums or bool(gate_hidden)  # otherwise the gates' columns stand beside the experts'
        self.gate_layers = Units(self.tasks, self.pick.width or inputs, gate_hidden) if gate_hidden else None
        self.level = Mixture(
            inputs,
            level.groups(),
            sees=[range(level.experts)] * self.tasks,
            settings=settings,
            own_inputs=True,
            gate_inputs=[inputs, *gate_hidden][-1] if apart else None,
            own_gate_inputs=apart,
        )

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        (level,) = levels_of(tasks, config, 1)
        gate_hidden = config.stem_gate_hidden
        return cls(inputs.width, level, mixture_settings(inputs, config), config.stem_gate_input, gate_hidden)

    def _level(self, x_BD: Tensor) -> tuple[Tensor, Tensor]:
        x_BSD = x_BD.unflatten(-1, (self.tasks + 1, self.width))
        expert_BEH, gate_BTE = self.level(x_BSD, self._gate_inputs(x_BSD))
        return expert_BEH, gate_BTE

    def _gate_inputs(self, x_BSD: Tensor) -> Tensor | None:
        """What the gates read beside the experts: read_BTF, or read_BF where all read the same; None where they read x_BSD."""
        chosen_BF = self.pick(x_BSD[:, -1])
        if self.gate_layers is None and not self.sums:
            return chosen_BF
        own_BTD = x_BSD[:, :-1]
        read_BTF = own_BTD + x_BSD[:, -1:] if self.sums else own_BTD if chosen_BF is None else chosen_BF.unsqueeze(1)
        return read_BTF if self.gate_layers is None else self.gate_layers(read_BTF)

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
