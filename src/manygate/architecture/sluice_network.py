"""Sluice Network: Ruder et al., "Latent Multi-task Architecture Learning", AAAI 2019 (first as "Sluice networks", 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs
from manygate.architecture.cross_stitch import OWN_SHARE, near_identity
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import ModelConfig
from manygate.errors import InputError, setting
from manygate.kernels.without_sympy import stacked
from manygate.layers.experts import Experts
from manygate.layers.tower import Towers
from manygate.layers.units import Units


@final
class SluiceNetwork(Architecture):
    """A network for each task, whose layers are split in subspaces that are mixed, and whose tower reads a mixture of its layers.

    After every hidden layer the T S subspaces (S for each task) are mixed by a learned matrix, h~ = alpha h (equation 2), and task
    t's tower reads sum_l beta_{t,l} h~_{t,l} (equation 3), so all layers have the same width. ``orthogonality`` is the weight of
    the paper's penalty that keeps a task's subspaces apart, the squared Frobenius norm of G_{t,1}^T G_{t,2} for the weights of each
    layer (equation 4).

    alpha and beta start with 0.9 on what is a task's own and on its last layer, in rows that sum to one, and learn ``stitch_rate``
    times faster than the rest without weight decay, as in Cross-Stitch. Departures: embedding tables are shared, towers are
    plain.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> SluiceNetwork(inputs=100, tasks=2, hidden=(16, 16), subspaces=2)(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 16])
    """

    widths: ClassVar[str] = "bottom_hidden"
    undecayed: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    def __init__(
        self,
        inputs: int,
        tasks: int,
        hidden: Sequence[int],
        subspaces: int = 2,
        orthogonality: float = 0.0,
        stitch_rate: float = 10.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if len(set(hidden)) != 1:
            raise InputError(
                f"{setting('bottom_hidden')}: sluice_network mixes its layers, so they have one width; found {tuple(hidden)}."
            )
        if hidden[0] % subspaces:
            raise InputError(
                f"{setting('bottom_hidden')}: a width of {hidden[0]} cannot be split in {subspaces} subspaces. Choose a multiple."
            )
        self.tasks, self.subspaces, self.output_width = tasks, subspaces, hidden[-1]
        self.orthogonality, self.stitch_rate = orthogonality, stitch_rate
        self.first = Experts(inputs, tasks, hidden[:1], dropout=dropout)
        self.later = nn.ModuleList(Units(tasks, width, (width,), dropout) for width in hidden[1:])
        self.alpha = nn.Parameter(stacked([near_identity(tasks * subspaces)] * len(hidden)))
        self.beta = nn.Parameter(stacked([last_first(len(hidden))] * tasks))

    @classmethod
    def width_step(cls, config: ModelConfig) -> int:
        return config.subspaces

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        hidden = bottom_widths(inputs, tasks, config)
        if config.bottom_hidden is None:  # matched widths are what they are: take the nearest that fits
            width = max(round(sum(hidden) / len(hidden) / config.subspaces), 1) * config.subspaces
            hidden = (width,) * len(hidden)
        return cls(inputs.width, tasks, hidden, config.subspaces, config.orthogonality, config.stitch_rate, config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        layers = [self._mixed(self.alpha[0], self.first(x_BD)[0])]
        for layer, alpha in zip(self.later, self.alpha[1:], strict=True):
            layers.append(self._mixed(alpha, layer(layers[-1])))
        return torch.stack([h * b.unsqueeze(-1) for h, b in zip(layers, self.beta.unbind(1), strict=True)]).sum(dim=0)

    def _mixed(self, alpha_NN: Tensor, h_BTH: Tensor) -> Tensor:
        part_BNP = h_BTH.unflatten(-1, (self.subspaces, -1)).flatten(1, 2)
        return (alpha_NN @ part_BNP).unflatten(1, (self.tasks, self.subspaces)).flatten(2)

    def shared_layer(self) -> nn.Module:
        """The first layer: the tasks read those above both directly and through each other."""
        return self.first

    def shared_above(self) -> list[nn.Parameter]:
        """All that mixes the tasks' layers above the first; with one layer, every row of alpha belongs to one task."""
        return [self.alpha, *self.later.parameters()] if len(self.later) else []

    def shared_parameters(self) -> list[nn.Parameter]:
        """Through alpha every task trains every network."""
        return list(self.parameters())

    def penalty(self, towers: Towers) -> Tensor:
        if not self.orthogonality:
            return super().penalty(towers)
        weights = [self.first.weight.unflatten(1, (self.tasks, -1)).transpose(0, 1)]
        weights += [weight for layer in self.later for weight in layer.parameters() if weight.shape[-2] > 1]
        return self.orthogonality * torch.stack([self._overlap(weight_TDH) for weight_TDH in weights]).sum()

    def _overlap(self, weight_TDH: Tensor) -> Tensor:
        """Sum over tasks and pairs of subspaces of the squared Frobenius norm of G_s^T G_r."""
        part_TSDP = weight_TDH.unflatten(-1, (self.subspaces, -1)).movedim(-2, 1)
        product_TSRPP = part_TSDP.transpose(-1, -2).unsqueeze(2) @ part_TSDP.unsqueeze(1)
        squared_TSR = product_TSRPP.square().sum(dim=(-1, -2))
        return squared_TSR.triu(diagonal=1).sum()

    def learning_rates(self) -> dict[str, float]:
        return {"alpha": self.stitch_rate, "beta": self.stitch_rate}


def last_first(layers: int) -> Tensor:
    """0.9 for the last layer, the rest divided among the others; sums to one."""
    if layers == 1:
        return torch.ones(1)
    beta = torch.full((layers,), (1 - OWN_SHARE) / (layers - 1))
    beta[-1] = OWN_SHARE
    return beta
