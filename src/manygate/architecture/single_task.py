"""Single-Task: a model of its own for each task, the baseline of every claim about sharing (MMoE section 6.3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, final

from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import ModelConfig
from manygate.layers.experts import Experts


@final
class SingleTask(Architecture):
    """y_k = h_k(f_k(x)): nothing is shared, neither bottoms nor embeddings.

    The T models of the T tasks train as one program, each with its own early stopping. Each has the bottom that Shared-Bottom
    would have for all tasks, so that Single-Task has about T times the parameters: a strong baseline. Each keeps the weights of its
    own best epoch, where a sharing scheme keeps one epoch's weights for all tasks.

    **Shape**: x_BD -> h_B1H.
    """

    one_model_per_task: ClassVar[bool] = True
    widths: ClassVar[str] = "bottom_hidden"

    def __init__(self, inputs: int, hidden: Sequence[int], dropout: float = 0.0):
        super().__init__()
        self.output_width = hidden[-1]
        self.bottom = Experts(inputs, 1, hidden, dropout=dropout)

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        """``tasks`` is the number of tasks of the whole run; it decides the matched width only."""
        return cls(inputs.width, bottom_widths(inputs, tasks, config), config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        h_B1H, _ = self.bottom(x_BD)
        return h_B1H

    def shared_parameters(self) -> list[nn.Parameter]:
        return []
