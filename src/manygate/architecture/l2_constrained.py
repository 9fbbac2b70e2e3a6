"""L2-Constrained: Duong et al., "Low Resource Dependency Parsing", ACL 2015; a baseline of MMoE (section 6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import ModelConfig
from manygate.layers.experts import Experts
from manygate.layers.tower import Towers


@final
class L2Constrained(Architecture):
    """A network for each task, pulled together: L = sum_k L_k(y_k, f(x; theta_k)) + alpha sum_{j<k} ||theta_j - theta_k||^2.

    theta_k is all that task k has: its bottom, its tower and its head. Open in the papers, chosen here: a plain sum of squares over
    all numbers, and a sum over the unordered pairs of tasks. Departure: embedding tables are shared outright.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> L2Constrained(inputs=100, tasks=2, hidden=(16,), alpha=0.1)(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 16])
    """

    widths: ClassVar[str] = "bottom_hidden"

    def __init__(self, inputs: int, tasks: int, hidden: Sequence[int], alpha: float, dropout: float = 0.0):
        super().__init__()
        self.tasks, self.output_width, self.alpha = tasks, hidden[-1], alpha
        self.bottoms = Experts(inputs, tasks, hidden, dropout=dropout)

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, tasks, bottom_widths(inputs, tasks, config), config.l2_alpha, config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        h_BTH: Tensor = self.bottoms(x_BD)[0]
        return h_BTH

    def shared_parameters(self) -> list[nn.Parameter]:
        """None is shared; the penalty ties them."""
        return []

    def penalty(self, towers: Towers) -> Tensor:
        assert self.bottoms.bias is not None
        first_TDH = self.bottoms.weight.unflatten(1, (self.tasks, -1)).transpose(0, 1)
        stacks = [first_TDH, self.bottoms.bias.unflatten(0, (self.tasks, -1))]
        stacks += [*self.bottoms.deeper.parameters(), *towers.parameters()]
        return self.alpha * torch.stack([apart(stack) for stack in stacks]).sum()


def apart(value_T: Tensor) -> Tensor:
    """Sum over pairs of ||v_j - v_k||^2, as T times the sum of ||v_t - mean||^2.

    >>> round(apart(torch.tensor([[1.0], [3.0], [4.0]])).item(), 4)  # 4 + 9 + 1
    14.0
    """
    return len(value_T) * (value_T - value_T.mean(dim=0)).square().sum()
