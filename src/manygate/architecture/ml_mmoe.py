"""ML-MMoE: MMoE in several levels, the baseline of PLE (Tang et al., RecSys 2020, section 3 and Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, mixture_settings
from manygate.config import ModelConfig
from manygate.kernels.mixing import mix
from manygate.layers.mixture import PLAIN, Group, Mixture, MixtureSettings


@final
class MLMMoE(Architecture):
    """Levels of experts that all tasks share: expert i of a level reads a mixture of the level below by a gate of its own.

    Level 1: experts and gates read x. Level j: expert i reads h^{j-1}_i = sum_e g^{j-1,i}_e f^{j-1}_e; the last level has a gate
    for each task, the others one for each expert of the next level.

    The paper leaves open what the gates of levels above the first read. ``gate_input="previous"`` (the default, as in PLE): all
    that the level below gives, h^{j-1}_1 to h^{j-1}_n one after the other; ``"raw"``: x, as in Meta's implementation beside AdaTT.
    Gates of chosen features (``gate_columns``) read these at every level.

    **Shape**: x_BD -> h_BTH. ``hidden`` has one entry a level, each the widths of that level's experts.

    >>> import torch
    >>> MLMMoE(inputs=100, tasks=2, experts=8, hidden=[(16,), (12,)])(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 12])
    """

    def __init__(
        self,
        inputs: int,
        tasks: int,
        experts: int,
        hidden: Sequence[Sequence[int]],
        gate_input: Literal["previous", "raw"] = "previous",
        settings: MixtureSettings = PLAIN,
    ):
        super().__init__()
        self.output_width, self.pick, self.raw = hidden[-1][-1], Pick(settings.gate_columns), gate_input == "raw"
        self.levels = nn.ModuleList()
        for j, widths in enumerate(hidden):
            below = hidden[j - 1][-1] if j else inputs
            gate_inputs = self.pick.width or (None if j == 0 else inputs if self.raw else experts * below)
            self.levels.append(
                Mixture(
                    below,
                    [Group(1, tuple(widths))] * experts if j else [Group(experts, tuple(widths))],
                    sees=[range(experts)] * (tasks if j == len(hidden) - 1 else experts),
                    settings=settings,
                    own_inputs=j > 0,
                    gate_inputs=gate_inputs,
                )
            )

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        widths, gate_input = config.hidden_of_levels(), config.ml_gate_input
        return cls(inputs.width, tasks, config.experts, widths, gate_input, mixture_settings(inputs, config))

    def _run(self, x_BD: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The last level's outputs and every level's gates."""
        h, gates = x_BD, []
        for j, level in enumerate(self.levels):
            read = self.pick(x_BD) if self.pick.width else None if j == 0 else x_BD if self.raw else h.flatten(1)
            expert_BEH, gate_BGE = level(h, read)
            h = mix(gate_BGE, expert_BEH)
            gates.append(gate_BGE)
        return h, gates

    def forward(self, x_BD: Tensor) -> Tensor:
        return self._run(x_BD)[0]

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        """The tasks' gates: those of the last level. Gates below it belong to experts and not to tasks."""
        with torch.no_grad():
            return (self._run(x_BD)[1][-1],)

    def shared_layer(self) -> nn.Module:
        return self.levels[-1]

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())
