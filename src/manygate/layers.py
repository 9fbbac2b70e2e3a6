"""What the sharing schemes are built from, stacked so that all experts and gates of a level are one matrix product.

Shape suffixes: B batch, D input, E experts, G gates, N units side by side, H hidden, T tasks. Everything is written for one model
and one batch; :class:`manygate.model.MultiTaskModel` runs it for many replicas at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from manygate.product import hidden_and_linear


def glorot(*shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Glorot-uniform values for a stack of matrices (..., fan in, fan out): each matrix has its own fans.

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010, equation 16.
    Initialising the whole stack as one tensor would make every weight sqrt(H) or so too small.
    """
    bound = (6.0 / (shape[-2] + shape[-1])) ** 0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


class Dropout(nn.Module):
    """Inverted dropout whose mask comes from outside, so that each replica draws from a stream of its own.

    While training, ``keep`` (B, \\*shape) holds 0 or 1 / (1 - rate); see :mod:`manygate.noise`. Srivastava et al., JMLR 2014.
    """

    keep: Tensor

    def __init__(self, rate: float, shape: Sequence[int]):
        super().__init__()
        self.rate, self.shape = rate, tuple(shape)
        self.register_buffer("keep", torch.empty(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.keep if self.training and self.rate else x


class Experts(nn.Module):
    """E expert networks and G gates of one level, all reading x.

    The first layer of all experts and all gates are one matrix product, ``x_BD @ [W_experts | W_gates]``; deeper layers are one
    batched product. Experts are MLPs with ReLU after every layer, the last one included (MMoE section 4.2: "identical multilayer
    perceptrons with ReLU activations"); gates are linear (equation 8), without bias unless asked.

    **Shape**: x_BD -> expert_BEH, logit_BGE (the gates' logits, before their softmax).

    >>> experts = Experts(inputs=100, experts=8, hidden=(16,), gates=2)
    >>> expert_BEH, logit_BGE = experts(torch.zeros(4, 100))
    >>> expert_BEH.shape, logit_BGE.shape, sum(p.numel() for p in experts.parameters())
    (torch.Size([4, 8, 16]), torch.Size([4, 2, 8]), 14528)
    """

    def __init__(
        self,
        inputs: int,
        experts: int,
        hidden: Sequence[int],
        gates: int = 0,
        gate_bias: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.experts, self.gates, self.hidden = experts, gates, tuple(hidden)
        self.first_units, self.gate_units = experts * hidden[0], gates * experts
        weight = torch.empty(inputs, self.first_units + self.gate_units)  # not torch.cat: on meta tensors it loads sympy, 2 s
        weight[:, : self.first_units] = glorot(experts, inputs, hidden[0]).transpose(0, 1).flatten(1)
        for start in range(self.first_units, weight.shape[1], experts):
            weight[:, start : start + experts] = glorot(inputs, experts)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(self.first_units))
        self.gate_bias = nn.Parameter(torch.zeros(self.gate_units)) if gate_bias and gates else None
        self.dropout = Dropout(dropout, (self.first_units,))
        self.deeper = Units(experts, hidden[0], hidden[1:], dropout=dropout)

    def forward(self, x_BD: Tensor) -> tuple[Tensor, Tensor]:
        hidden_BN, logit_BN = hidden_and_linear(x_BD, self.weight, self.bias)
        expert_BEH = self.deeper(self.dropout(hidden_BN).unflatten(-1, (self.experts, self.hidden[0])))
        if self.gate_bias is not None:
            logit_BN = logit_BN + self.gate_bias
        return expert_BEH, logit_BN.unflatten(-1, (self.gates, self.experts))


class Units(nn.Module):
    """N MLPs side by side, each reading its own input: one batched product per layer, ReLU after each.

    **Shape**: x_BNH -> y_BNK, with K the last width (H when there is no layer).
    """

    def __init__(self, units: int, inputs: int, hidden: Sequence[int], dropout: float = 0.0):
        super().__init__()
        widths = [inputs, *hidden]
        shapes = list(zip(widths[:-1], widths[1:], strict=True))
        self.weights = nn.ParameterList(nn.Parameter(glorot(units, fan_in, fan_out)) for fan_in, fan_out in shapes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(units, 1, fan_out)) for _, fan_out in shapes)
        self.dropouts = nn.ModuleList(Dropout(dropout, (units, fan_out)) for _, fan_out in shapes)

    def forward(self, x_BNH: Tensor) -> Tensor:
        for weight_NHK, bias_N1K, dropout in zip(self.weights, self.biases, self.dropouts, strict=True):
            x_BNH = dropout((x_BNH.transpose(0, 1) @ weight_NHK + bias_N1K).relu().transpose(0, 1))
        return x_BNH


def mix(gate_BGE: Tensor, expert_BEH: Tensor) -> Tensor:
    """Sum of the experts weighted by each gate (MMoE equation 7): h_BGH."""
    return gate_BGE @ expert_BEH
