"""Shared-Bottom (Caruana, "Multitask Learning", Machine Learning 1997; MMoE section 3.1, equation 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, final

from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs
from manygate.config import ModelConfig
from manygate.layers.experts import Experts


def matched_bottom(inputs: int, tasks: int, config: ModelConfig) -> tuple[int, ...]:
    """Widths of a bottom with as many weights as the experts and their towers (MMoE section 5.1).

    The paper counts the weights of experts and towers, not gates, biases or heads:
    100 x 16 x 8 + 16 x 8 x 2 = 13,056, and 13,056 / (100 + 8 x 2) = 112.6. Deeper bottoms keep the experts' proportions.

    >>> matched_bottom(100, 2, ModelConfig(experts=8, expert_hidden=(16,), tower_hidden=(8,)))
    (113,)
    """
    tower = config.tower_hidden[0] if config.tower_hidden else 1

    def weights(widths: Sequence[float]) -> float:
        chain = [inputs, *widths]
        return sum(a * b for a, b in zip(chain[:-1], chain[1:], strict=True)) + tasks * widths[-1] * tower

    one_expert = weights(config.expert_hidden) - tasks * config.expert_hidden[-1] * tower
    budget = config.experts * one_expert + tasks * config.expert_hidden[-1] * tower
    low, high = 0.0, float(config.experts)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if weights([middle * w for w in config.expert_hidden]) < budget else (low, middle)
    return tuple(max(round(high * width), 1) for width in config.expert_hidden)


def bottom_widths(inputs: Inputs, tasks: int, config: ModelConfig) -> tuple[int, ...]:
    """``bottom_hidden``, or as many weights as the experts would have."""
    return config.bottom_hidden or matched_bottom(inputs.width, tasks, config)


class Bottom(Architecture):
    """One bottom network, which is all that Shared-Bottom and a model of Single-Task have."""

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


@final
class SharedBottom(Bottom):
    """y_k = h_k(f(x)): one bottom network f, read by every task's tower.

    **Shape**: x_BD -> h_B1H, the same h for every task. Departure of the default settings: dropout after every layer of f.

    >>> import torch
    >>> SharedBottom(inputs=100, hidden=(113,))(torch.zeros(4, 100)).shape
    torch.Size([4, 1, 113])
    """

    def shared_layer(self) -> nn.Module:
        return self.bottom

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())
