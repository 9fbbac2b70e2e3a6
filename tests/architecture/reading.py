"""Equations 1 and 5 to 8 of MMoE (Ma et al., KDD 2018), read once more as plain loops over rows, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from manygate.layers import Experts
from manygate.tower import Towers

Floats = NDArray[np.float64]


def array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().numpy().astype(np.float64)


def networks(layer: Experts) -> list[list[tuple[Floats, Floats]]]:
    """Each expert as its own list of (weight, bias)."""
    weight, bias, width = array(layer.weight), array(layer.bias), layer.hidden[0]
    experts = []
    for e in range(layer.experts):
        columns = slice(e * width, (e + 1) * width)
        chain = [(weight[:, columns], bias[columns])]
        for deep, offset in zip(layer.deeper.weights, layer.deeper.biases, strict=True):
            chain.append((array(deep)[e], array(offset)[e, 0]))
        experts.append(chain)
    return experts


def gate_matrices(layer: Experts) -> list[tuple[Floats, Floats]]:
    """Each gate as its own (weight, bias)."""
    weight, gates = array(layer.weight), []
    for g in range(layer.gates):
        columns = slice(layer.first_units + g * layer.experts, layer.first_units + (g + 1) * layer.experts)
        bias = np.zeros(layer.experts)
        if layer.gate_bias is not None:
            bias = array(layer.gate_bias)[g * layer.experts : (g + 1) * layer.experts]
        gates.append((weight[:, columns], bias))
    return gates


def perceptron(x: Floats, chain: list[tuple[Floats, Floats]]) -> Floats:
    for weight, bias in chain:
        x = np.maximum(x @ weight + bias, 0.0)
    return x


def softmax(z: Floats) -> Floats:
    e = np.exp(z - z.max())
    return e / e.sum()


def mixture(x: Floats, layer: Experts, gate: int) -> Floats:
    """sum_i g(x)_i f_i(x), equations 5 and 7."""
    weight, bias = gate_matrices(layer)[gate]
    g = softmax(x @ weight + bias)
    total: Any = 0.0
    for i, chain in enumerate(networks(layer)):
        total = total + g[i] * perceptron(x, chain)
    return total


def tower(h: Floats, towers: Towers, t: int) -> float:
    """h_k of equation 6."""
    for weight, bias in zip(towers.hidden.weights, towers.hidden.biases, strict=True):
        h = np.maximum(h @ array(weight)[t] + array(bias)[t, 0], 0.0)
    return float(h @ array(towers.weight)[t] + array(towers.bias)[t])
