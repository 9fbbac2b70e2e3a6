"""OMoE: one gate for all tasks (Ma et al., KDD 2018, section 4.2 and Figure 1b; the mixture layer of section 4.1, equation 5).

    y_k = h_k(f(x))    f(x) = sum_i g(x)_i f_i(x) (5)    g(x) = softmax(W_g x)

What is open and the departures are those of :mod:`manygate.architecture.mmoe`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from manygate.architecture.mmoe import MixtureOfExperts
from manygate.kernels.mixing import mix
from manygate.layers.mixture import PLAIN, MixtureSettings


@final
class OMoE(MixtureOfExperts):
    """One-gate Mixture-of-Experts.

    **Shape**: x_BD -> h_B1H, the same h for every task.

    >>> import torch
    >>> OMoE(inputs=100, tasks=2, experts=8, hidden=(16,))(torch.zeros(4, 100)).shape
    torch.Size([4, 1, 16])
    """

    def __init__(self, inputs: int, tasks: int, experts: int, hidden: Sequence[int], settings: MixtureSettings = PLAIN):
        super().__init__(inputs, tasks, experts, hidden, settings)
        self.mixture = nn.Identity()

    def forward(self, x_BD: Tensor) -> Tensor:
        f_BEH, g_B1E = self.level(x_BD, self.pick(x_BD))  # f_i(x), and g(x) = softmax(W_g x)
        f_B1H: Tensor = self.mixture(mix(g_B1E, f_BEH))  # f(x) = sum_i g(x)_i f_i(x) (5)
        return f_B1H

    def shared_layer(self) -> nn.Module:
        """The mixture: the gate below it is shared, too."""
        return self.mixture

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        return (self.level.weights(x_BD, self.pick(x_BD)).expand(-1, self.tasks, -1),)
