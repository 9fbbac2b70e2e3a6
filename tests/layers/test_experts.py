"""Stacked layers are their parts on their own, each drawn with its own fans."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from manygate.layers.experts import Experts
from manygate.layers.units import glorot
from numpy_reading import agree, nets, rows, shaken


def drawn_like(stack: Tensor, bound: float) -> None:
    """Matrices that are uniform within the bound, and no two alike."""
    for matrix in stack:
        assert 0.98 * bound < matrix.abs().max() <= bound
        assert matrix.mean().abs() < 0.1 * bound
        assert matrix.var().item() == pytest.approx(bound**2 / 3, rel=0.15)
    flat = torch.corrcoef(stack.flatten(1)) - torch.eye(len(stack))
    assert flat.abs().max() < 0.2, "two start alike"


@pytest.mark.parametrize("side_by_side", [1, 3])
def test_each_expert_is_initialised_with_its_own_fans(side_by_side):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        linear = glorot(100, 16) if side_by_side == 1 else glorot(3, 100, 16)
        layer = Experts(100, 8, (32, 20), linear, side_by_side)
    weight = layer.weight.detach().view(-1, 100, 8 * 32 + 16)
    drawn_like(weight[..., :256].unflatten(2, (8, 32)).transpose(1, 2).flatten(0, 1), (6 / (100 + 32)) ** 0.5)
    drawn_like(layer.deeper.weights[0].detach(), (6 / (32 + 20)) ** 0.5)
    assert torch.equal(weight[..., 256:], linear.view(-1, 100, 16)), "the columns start as they are given"
    assert (layer.bias == 0).all()
    assert all((values == 0).all() for values in layer.deeper.biases)


@pytest.mark.parametrize("hidden", [(6,), (6, 4), (6, 5, 4)])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("side_by_side", [1, 3])
def test_experts_are_networks_of_their_own(hidden, norm, side_by_side):
    linear = torch.zeros(5, 2) if side_by_side == 1 else torch.zeros(3, 5, 2)
    layer = shaken(Experts(5, 4, hidden, linear, side_by_side, norm=norm))
    x = rows(7, 5) if side_by_side == 1 else rows(21, 5).view(7, 3, 5)
    expert_BEH, linear_BU = layer(x)
    assert expert_BEH.shape == (7, 4 * side_by_side, hidden[-1])
    torch.testing.assert_close(layer.linear(x), linear_BU, rtol=1e-12, atol=1e-12)
    for b in range(7):
        inputs = [x[b].numpy()] if side_by_side == 1 else list(x[b].numpy())
        agree(expert_BEH[b], [net(inputs[n // 4]) for n, net in enumerate(nets(layer))])
    if side_by_side == 1:
        for e in range(4):
            torch.testing.assert_close(layer.forward_expert(e, x), expert_BEH[:, e], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("side_by_side", [1, 3])
def test_no_experts_leaves_the_linear_columns(side_by_side):
    linear = (rows(5, 2) if side_by_side == 1 else rows(15, 2).view(3, 5, 2)).float().double()
    layer = Experts(5, 0, (6,), linear, side_by_side).double()
    x = rows(7, 5) if side_by_side == 1 else rows(21, 5).view(7, 3, 5)
    expert_BEH, linear_BU = layer(x)
    assert expert_BEH.shape == (7, 0, 6)
    expected = x @ linear if side_by_side == 1 else torch.cat([x[:, s] @ linear[s] for s in range(3)], dim=1)
    torch.testing.assert_close(linear_BU, expected)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_the_first_layer_alone_in_float32_equals_the_stacked_one():
    """float32 takes another product than float64; see manygate.kernels.onednn."""
    layer = shaken(Experts(50, 16, (64,), torch.zeros(50, 16))).float()
    x_BD = rows(300, 50).float()
    expert_BEH, linear_BU = layer(x_BD)
    torch.testing.assert_close(linear_BU, layer.linear(x_BD), rtol=1e-4, atol=1e-4)
    for e in range(16):
        torch.testing.assert_close(layer.forward_expert(e, x_BD), expert_BEH[:, e], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hidden", [(6,), (6, 5, 4)])
def test_dropout_comes_after_every_layer(hidden):
    layer = shaken(Experts(5, 2, hidden, dropout=0.5)).train()
    dropouts = [layer.dropout, *layer.deeper.dropouts]
    for number, module in enumerate(dropouts):
        for other in dropouts:
            other.drawn = torch.ones(7, *other.shape, dtype=torch.float64)
        plain = layer(rows(7, 5))[0]
        module.drawn = module.drawn.clone()
        module.drawn[3, 1] = 0.0
        found = layer(rows(7, 5))[0]
        assert torch.equal(found[[0, 1, 2, 4, 5, 6]], plain[[0, 1, 2, 4, 5, 6]])
        assert torch.equal(found[3, 0], plain[3, 0])
        assert not torch.equal(found[3, 1], plain[3, 1]), f"layer {number}"


def test_a_dropped_unit_is_zero_where_experts_are_normalised():
    layer = shaken(Experts(5, 2, (6,), dropout=0.5, norm=True)).train()
    layer.dropout.drawn = torch.ones(7, 2, 6, dtype=torch.float64)
    plain = layer(rows(7, 5))[0]
    layer.dropout.drawn[3, 1, 2] = 0.0
    found = layer(rows(7, 5))[0]
    assert found[3, 1, 2] == 0
    plain[3, 1, 2] = 0.0
    assert torch.equal(found, plain), "the other units are normalised as without dropout"
