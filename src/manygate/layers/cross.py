"""Low-rank cross layers: products of the input's columns, learned before the experts read them.

Shape suffixes: B batch, L layers, D input, K rank, P parts of the input, N = B P rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from manygate.kernels.crossing import cross
from manygate.layers.units import glorot


class CrossLayers(nn.Module):
    """L low-rank cross layers: x_{l+1} = x_0 * (x_l U_l V_l + b_l) + x_l, where * is elementwise.

    Wang et al., "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems", WWW 2021
    (equation 1 with the low-rank matrix of equation 2, in the stacked structure: what follows reads x_L). Each layer raises the
    degree of the polynomial in x by one. Departures: the rank is at most D, because more would add parameters and no functions;
    there is no mixture of low-rank experts, since the sharing scheme above has experts; no layer has dropout; V begins at zero, so
    that the network begins as the one without cross layers.

    x may be P inputs of D columns side by side (the embeddings of each task and the shared ones). All of them go through the same
    layers, each by itself.

    **Shape**: x_B(PD) -> x_B(PD).

    >>> cross = CrossLayers(inputs=100, layers=2, rank=32)
    >>> cross(torch.zeros(4, 100)).shape, sum(p.numel() for p in cross.parameters())
    (torch.Size([4, 100]), 13000)
    """

    undecayed = ("bias",)

    def __init__(self, inputs: int, layers: int, rank: int):
        super().__init__()
        self.inputs, rank = inputs, min(rank, inputs)
        self.down = nn.Parameter(glorot(layers, inputs, rank))
        self.up = nn.Parameter(torch.zeros(layers, rank, inputs))
        self.bias = nn.Parameter(torch.zeros(layers, inputs))

    def forward(self, x: Tensor) -> Tensor:
        x_ND = x.reshape(-1, self.inputs)
        return cross(x_ND, self.down, self.up, self.bias).reshape(x.shape)  # each layer: x_0 * (x @ down @ up + bias) + x
