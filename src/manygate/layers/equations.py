"""Experts, gates and towers one by one, as papers write them: what the stacked products equal.

:class:`manygate.layers.mixture.Mixture` and :class:`manygate.layers.tower.Towers` compute all of a level's experts and gates, and
all towers, by few matrix products. These functions read their parameters apart, and ``tests/layers/test_equations.py`` shows that
the results are equal: in float64 to 1e-12, for every kind of gate, wiring and depth; training included, as gradients. To check a
scheme against its paper, read its ``forward``, this file, and nothing else.

Shape suffixes: B batch, D input, H width of an expert's output, C experts that a gate sees, K last width of a tower.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from manygate.layers.experts import Experts
from manygate.layers.mixture import Mixture
from manygate.layers.tower import Towers


def perceptron(x_BD: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """f(x): relu(x W + b) for each layer, the last included (MMoE section 4.2)."""
    for weight, bias in layers:
        x_BD = torch.relu(x_BD @ weight + bias)
    return x_BD


def gate(x_BD: Tensor, weight_DC: Tensor) -> Tensor:
    """g(x) = softmax(W_g x) (MMoE equation 8, CGC's w^k)."""
    return torch.softmax(x_BD @ weight_DC, dim=-1)


def mixture(g_BC: Tensor, experts: list[Tensor]) -> Tensor:
    """sum_i g(x)_i f_i(x) (MMoE equation 7, CGC's w^k S^k)."""
    return torch.stack([g_BC[:, i, None] * f_BH for i, f_BH in enumerate(experts)]).sum(dim=0)


def tower(h_BH: Tensor, layers: list[tuple[Tensor, Tensor]], weight_K: Tensor, bias: Tensor) -> Tensor:
    """The logit y_k = h_k(f^k(x)) (MMoE equation 6): a perceptron and a linear head."""
    return perceptron(h_BH, layers) @ weight_K + bias


def expert_layers(level: Mixture) -> list[list[tuple[Tensor, Tensor]]]:
    """The layers (W, b) of each expert of a level, taken out of the stacks; a group's own experts first, the shared ones last."""
    return [layers for bank in level.banks if isinstance(bank, Experts) for layers in _of_bank(bank)]


def _of_bank(bank: Experts) -> Iterator[list[tuple[Tensor, Tensor]]]:
    weight_SDN, bias_SN = bank.layer()
    for number in range(bank.side_by_side * bank.experts):
        s, e = divmod(number, bank.experts)
        columns = slice(e * bank.hidden[0], (e + 1) * bank.hidden[0])
        first = weight_SDN[s][:, columns], bias_SN[s][columns]
        deeper = zip(bank.deeper.weights, bank.deeper.biases, strict=True)
        yield [first, *((weight_NHK[number], bias_N1K[number, 0]) for weight_NHK, bias_N1K in deeper)]


def gate_matrices(level: Mixture) -> list[Tensor]:
    """W_g of each gate of a level (D, C), over the experts ``level.gates.sees[g]``; softmax gates without a bias."""
    if level.gate_weight is not None:
        stacks: list[Tensor] = [level.gate_weight] if level.gate_weight.ndim == 2 else list(level.gate_weight)
    else:
        stacks = [matrix[:, bank.first_units :] for bank in level.banks if isinstance(bank, Experts) for matrix in bank.layer()[0]]
    matrices = torch.cat(stacks, dim=1).split(list(level.gates.units), dim=1)
    return list(matrices)


def tower_layers(towers: Towers, t: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor]:
    """Task t's hidden layers (W, b), head and bias."""
    stack = zip(towers.hidden.weights, towers.hidden.biases, strict=True)
    return [(weight_OHK[t], bias_O1K[t, 0]) for weight_OHK, bias_O1K in stack], towers.weight[t], towers.bias[t]
