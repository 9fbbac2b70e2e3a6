"""What the sharing schemes are built from, stacked so that all experts and gates of a level are one matrix product.

Shape suffixes: B batch, D input, S inputs side by side, E experts, U linear columns beside them, N units side by side, H hidden,
G gates. Everything is written for one model and one batch;
:class:`manygate.model.replicas.MultiTaskModel` runs it for many replicas at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from manygate.kernels.onednn import hidden_and_linear, side_by_side
from manygate.layers.units import Dropout, Norm, Units, glorot


class Experts(nn.Module):
    """E expert networks, and U linear columns (of the gates) beside them, all reading x.

    The first layer of all experts and all linear columns are one matrix product, ``x_BD @ [W_experts | W_linear]``; deeper layers
    are one batched product. Experts are MLPs with ReLU after every layer, the last one included (MMoE section 4.2: "identical
    multilayer perceptrons with ReLU activations"); with ``norm`` the last ends in :class:`Norm` instead. ``linear`` holds the
    initial values of the columns, (D, U), or (S, D, U) for S > 1.

    With ``inputs_side_by_side`` S > 1 there are S inputs, each with E experts and U columns of its own, stacked.

    **Shape**: x_BD -> expert_BEH, linear_BU; for S > 1, x_BSD -> expert_B(SE)H, linear_B(SU).

    >>> experts = Experts(inputs=100, experts=8, hidden=(16,), linear=glorot(100, 16))
    >>> expert_BEH, linear_BU = experts(torch.zeros(4, 100))
    >>> expert_BEH.shape, linear_BU.shape, sum(p.numel() for p in experts.parameters())
    (torch.Size([4, 8, 16]), torch.Size([4, 16]), 14528)
    """

    undecayed = ("bias",)

    def __init__(
        self,
        inputs: int,
        experts: int,
        hidden: Sequence[int],
        linear: Tensor | None = None,
        inputs_side_by_side: int = 1,
        dropout: float = 0.0,
        norm: bool = False,
    ):
        super().__init__()
        self.experts, self.hidden, self.side_by_side = experts, tuple(hidden), inputs_side_by_side
        total, self.first_units = inputs_side_by_side * experts, experts * hidden[0]
        columns = 0 if linear is None else linear.shape[-1]
        weight = torch.empty(inputs_side_by_side, inputs, self.first_units + columns)  # see kernels/without_sympy.py
        for s in range(inputs_side_by_side if experts else 0):
            weight[s, :, : self.first_units] = glorot(experts, inputs, hidden[0]).transpose(0, 1).flatten(1)
        if linear is not None:
            weight[:, :, self.first_units :] = linear
        bias = torch.zeros(inputs_side_by_side, self.first_units)
        single = inputs_side_by_side == 1
        self.weight = nn.Parameter(weight[0] if single else weight)
        self.bias = nn.Parameter(bias[0] if single else bias) if experts else None
        self.dropout = Dropout(dropout if experts else 0.0, (total, hidden[0]))
        self.norm = Norm(total, hidden[0]) if norm and experts and len(hidden) == 1 else None
        self.deeper = Units(total, hidden[0], hidden[1:] if experts else (), dropout=dropout, norm=norm)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.norm is not None:
            first_BN, linear_BU = self._unbounded(x)
        elif self.side_by_side > 1 or self.bias is None:
            first_BN, linear_BU = side_by_side(x if x.ndim == 3 else x.unsqueeze(1), [self.layer()])
        else:
            first_BN, linear_BU = hidden_and_linear(x, self.weight, self.bias)
        return self.rest(first_BN), linear_BU

    def layer(self) -> tuple[Tensor, Tensor]:
        """The first layer's weight (S, D, N) and bias (S, H)."""
        weight_SDN = self.weight.unsqueeze(0) if self.side_by_side == 1 else self.weight
        if self.bias is None:
            return weight_SDN, weight_SDN.new_empty(self.side_by_side, 0)
        return weight_SDN, self.bias.unsqueeze(0) if self.side_by_side == 1 else self.bias

    def rest(self, first_BN: Tensor) -> Tensor:
        """What follows the first layer: normalisation, dropout and the deeper layers, expert_BEH."""
        first_BEH = first_BN.unflatten(-1, (self.side_by_side * self.experts, self.hidden[0]))
        expert_BEH: Tensor = self.deeper(self.dropout(first_BEH if self.norm is None else self.norm(first_BEH)))
        return expert_BEH

    def _unbounded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer without ReLU."""
        weight_SDN, bias_SH = self.layer()
        x_SBD = (x if x.ndim == 3 else x.unsqueeze(1)).transpose(0, 1)
        first_SBH, linear_SBU = (x_SBD @ weight_SDN).split([self.first_units, weight_SDN.shape[-1] - self.first_units], dim=-1)
        return (first_SBH + bias_SH.unsqueeze(1)).transpose(0, 1).flatten(1), linear_SBU.transpose(0, 1).flatten(1)

    def linear(self, x: Tensor) -> Tensor:
        """The linear columns alone, linear_BU."""
        columns = self.weight[..., self.first_units :]
        return x @ columns if self.side_by_side == 1 else (x.transpose(0, 1) @ columns).transpose(0, 1).flatten(1)

    def expert_weights(self) -> int:
        """Weights of all experts' matrices: what a row that runs through all of them is multiplied by."""
        first = self.side_by_side * self.first_units * self.weight.shape[-2]
        return first + sum(weight.numel() for weight in self.deeper.weights)

    def forward_expert(self, e: int, x_BD: Tensor) -> Tensor:
        """Expert e alone, without dropout: x_BD -> y_BH. Only for one input (S = 1)."""
        assert self.bias is not None
        columns = slice(e * self.hidden[0], (e + 1) * self.hidden[0])
        first_BH = torch.addmm(self.bias[columns], x_BD, self.weight[:, columns])
        return self.deeper.forward_unit(e, first_BH.relu() if self.norm is None else self.norm.forward_unit(e, first_BH))
