"""Cross layers: the equation by hand, one row at a time, and what is shared by several inputs side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.layers.cross import CrossLayers
from manygate.layers.decay import undecayed_parameters
from numpy_reading import agree, array, count, rows, shaken


def by_hand(cross: CrossLayers, x: np.ndarray) -> np.ndarray:
    """x_{l+1} = x_0 * (x_l U V + b) + x_l for one row."""
    value = x
    for down, up, bias in zip(array(cross.down), array(cross.up), array(cross.bias), strict=True):
        inner = [sum(value @ down[:, k] * up[k, d] for k in range(down.shape[1])) + bias[d] for d in range(len(x))]
        value = x * np.array(inner) + value
    return value


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_cross_layers_by_hand(layers):
    cross = shaken(CrossLayers(5, layers, rank=2))
    x_BD = rows(6, 5)
    agree(cross(x_BD), [by_hand(cross, x) for x in x_BD.numpy()])


def test_each_layer_multiplies_by_the_input_once_more():
    """Without biases, layer l gives a polynomial of degree l + 1: scaling x by c scales its highest part by c^(l + 1)."""
    cross = shaken(CrossLayers(4, 2, rank=2))
    with torch.no_grad():
        cross.bias.zero_()
    x_BD = rows(3, 4)
    values = torch.stack([cross(c * x_BD) for c in (1.0, 2.0, 3.0, 4.0)])
    powers = torch.tensor([[c, c**2, c**3] for c in (1.0, 2.0, 3.0)], dtype=torch.float64)
    part = torch.linalg.solve(powers, values[:3].flatten(1)).view(3, 3, 4)
    torch.testing.assert_close(part[0], x_BD)
    torch.testing.assert_close(4 * part[0] + 16 * part[1] + 64 * part[2], values[3])
    assert part[2].abs().max() > 1e-3


def test_inputs_side_by_side_go_through_the_same_layers():
    cross = shaken(CrossLayers(3, 2, rank=2))
    x_BD = rows(5, 12)
    expected = [np.concatenate([by_hand(cross, part) for part in x.reshape(4, 3)]) for x in x_BD.numpy()]
    agree(cross(x_BD), expected)


def test_the_rank_is_at_most_the_width():
    assert CrossLayers(3, 1, rank=8).down.shape == (1, 3, 3)
    assert count(CrossLayers(10, 2, rank=4)) == 2 * (10 * 4 + 4 * 10 + 10)


def test_weight_decay_spares_biases_alone():
    assert undecayed_parameters(CrossLayers(3, 1, rank=2)) == {"bias"}
