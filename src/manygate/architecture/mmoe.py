"""MMoE: Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018.

Section 4.2, equations 6 to 8, for task k and n experts:

    y_k = h_k(f^k(x)) (6)    f^k(x) = sum_i g^k(x)_i f_i(x) (7)    g^k(x) = softmax(W_gk x) (8)

f_i are multilayer perceptrons with ReLU, W_gk is n x d. :mod:`manygate.layers.equations` computes f_i, g^k and h_k one by one;
:class:`manygate.layers.mixture.Mixture` gives the same by one matrix product.

What the paper leaves open: biases in the experts, none in the gates, and the initialisation (Glorot for each expert and gate, zero
biases). Departures: none with ``dropout=0`` and without weight decay; the default settings have dropout after every expert layer,
the last included, and AdamW's decay, gates included. Gates of chosen columns, with a bias, a temperature or a selection of experts
are options beyond the paper. For MMoE as the top layer of a shared bottom (section 6.4.1) set ``lower_hidden``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick, mixture_settings
from manygate.config import ModelConfig
from manygate.kernels.mixing import mix
from manygate.layers.mixture import PLAIN, Group, Mixture, MixtureSettings


class MixtureOfExperts(Architecture):
    """Experts that all tasks share and some gates over all of them: what MMoE and OMoE have alike."""

    def __init__(
        self, inputs: int, tasks: int, experts: int, hidden: Sequence[int], settings: MixtureSettings = PLAIN, gates: int = 1
    ):
        super().__init__()
        self.tasks, self.output_width, self.pick = tasks, hidden[-1], Pick(settings.gate_columns)
        self.level = Mixture(inputs, [Group(experts, tuple(hidden))], sees=[range(experts)] * gates, settings=settings)

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls(inputs.width, tasks, config.experts, config.expert_hidden, mixture_settings(inputs, config))

    def shared_layer(self) -> nn.Module:
        return self.level

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())


@final
class MMoE(MixtureOfExperts):
    """Multi-gate Mixture-of-Experts: a gate for each task.

    **Shape**: x_BD -> h_BTH, the f^k(x) of equation 7; the towers h_k are :class:`manygate.layers.tower.Towers`.

    >>> import torch
    >>> MMoE(inputs=100, tasks=2, experts=8, hidden=(16,))(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 16])
    """

    def __init__(self, inputs: int, tasks: int, experts: int, hidden: Sequence[int], settings: MixtureSettings = PLAIN):
        super().__init__(inputs, tasks, experts, hidden, settings, gates=tasks)

    def forward(self, x_BD: Tensor) -> Tensor:
        f_BEH, g_BTE = self.level(x_BD, self.pick(x_BD))  # f_i(x), and g^k(x) = softmax(W_gk x) (8)
        return mix(g_BTE, f_BEH)  # f^k(x) = sum_i g^k(x)_i f_i(x) (7)

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        return (self.level.weights(x_BD, self.pick(x_BD)),)
