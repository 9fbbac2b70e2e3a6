"""A Tucker layer is the sum over the ranks that MMoE's section 6.2 writes, starts with Glorot's variance, and decomposes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from manygate.architecture import TensorFactorization
from manygate.architecture.base import Inputs
from manygate.architecture.tensor_factorization import Tucker
from manygate.config import RunConfig
from manygate.errors import InputError
from numpy_reading import agree, array, rows, shaken

RANKS = [(4, 5, 2), (1, 1, 1), (5, 6, 3), (5, 2, 3)]


def tensor(layer):
    """W[a, b, t], one number after the other."""
    core, first, second, third = (array(value) for value in (layer.core, layer.first, layer.second, layer.third))
    w = np.zeros((len(first), len(second), len(third)))
    for a, b, t in np.ndindex(*w.shape):
        for i, j, k in product(*map(range, core.shape)):
            w[a, b, t] += core[i, j, k] * first[a, i] * second[b, j] * third[t, k]
    return w


def reading(x, model):
    tasks = len(model.layers[0].third)
    read = [x] * tasks
    for layer in model.layers:
        w, bias = tensor(layer), array(layer.bias)
        read = [np.maximum(read[t] @ w[:, :, t] + bias[t], 0.0) for t in range(tasks)]
    return read


@pytest.mark.parametrize("ranks", RANKS)
def test_weight_is_the_sum_over_the_ranks(ranks):
    layer = shaken(Tucker(5, 6, 3, ranks))
    agree(layer.weight(), np.moveaxis(tensor(layer), -1, 0))


@pytest.mark.parametrize("hidden", [(6,), (6, 4, 3)], ids=["one layer", "three layers"])
@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("ranks", [None, (2, 3, 1)])
def test_forward_is_a_network_for_each_task(hidden, tasks, ranks):
    model = shaken(TensorFactorization(5, tasks, hidden, ranks))
    x_BD = rows(6, 5)
    for b, x in enumerate(x_BD.numpy()):
        agree(model(x_BD)[b], reading(x, model))


def test_full_rank_is_a_dense_layer_for_each_task():
    given, layer = rows(5 * 6, 3).view(3, 5, 6), Tucker(5, 6, 3, (5, 6, 3)).double()
    layer.decompose(given)
    assert (layer.weight() - given).abs().max() < 1e-10
    x_BD = rows(8, 5)
    agree(layer(x_BD), np.stack([array(x_BD) @ array(given)[t] for t in range(3)], axis=1))


@pytest.mark.parametrize("shape", [(5, 6, 3), (12, 3, 2), (2, 9, 4)])
@pytest.mark.parametrize("low", [False, True], ids=["full", "low"])
def test_decompose_is_the_higher_order_svd(shape, low):
    inputs, outputs, tasks = shape
    ranks = tuple(min(max(size // 2, 1) if low else size, 40) for size in shape)
    given, layer = rows(inputs * outputs, tasks).view(tasks, inputs, outputs), Tucker(*shape, ranks).double()
    layer.decompose(given)
    w = np.moveaxis(array(given), 0, -1)
    expected = w
    for mode, rank in enumerate(ranks):  # project each mode on its leading left singular vectors
        u = np.linalg.svd(np.moveaxis(w, mode, 0).reshape(shape[mode], -1))[0][:, :rank]
        expected = np.moveaxis(np.tensordot(u @ u.T, expected, (1, mode)), 0, mode)
        factor = array((layer.first, layer.second, layer.third)[mode])
        np.testing.assert_allclose(factor.T @ factor, np.eye(rank), atol=1e-10)
    np.testing.assert_allclose(tensor(layer), expected, atol=1e-10)
    assert (np.abs(expected - w).max() < 1e-10) != low


@pytest.mark.parametrize("ranks", [(20, 30, 4), (5, 5, 2), (40, 30, 4)])
def test_initial_variance_is_glorot_s(ranks):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = torch.stack([Tucker(40, 30, 4, ranks).weight().detach() for _ in range(300)])
    assert weights.var().item() == pytest.approx(2 / 70, rel=0.05)
    assert weights.mean().abs() < 0.01


@pytest.mark.parametrize("ranks", [(20, 30, 4), (5, 5, 2), (8, 3, 1)])
def test_naive_factors_have_their_own_glorot_variance(ranks):
    """So the weights are smaller by the factor that the shapes give."""
    (r1, r2, r3), m, n, tasks = ranks, 40, 30, 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [Tucker(m, n, tasks, ranks, "naive") for _ in range(400)]
    expected = {"core": 2 / (r1 * r2 + r1 * r3), "first": 2 / (m + r1), "second": 2 / (n + r2), "third": 2 / (tasks + r3)}
    for name, variance in expected.items():
        drawn = torch.stack([getattr(layer, name).detach() for layer in layers])
        assert drawn.var().item() == pytest.approx(variance, rel=0.1)
    weights = torch.stack([layer.weight().detach() for layer in layers])
    assert weights.var().item() == pytest.approx(r1 * r2 * r3 * np.prod(list(expected.values())), rel=0.15)
    assert weights.var().item() < 0.2 * 2 / (m + n)


def test_the_setting_reaches_every_layer():
    config = RunConfig.build({"architecture": "tensor_factorization", "bottom_hidden": (16, 12), "tucker_init": "naive"})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TensorFactorization.build(Inputs(50, ()), 2, config)
    for layer in model.layers:
        m, n = len(layer.first), len(layer.second)
        assert layer.weight().detach().var().item() < 0.2 * 2 / (m + n)


def test_parameter_count():
    r1, r2, r3 = 4, 5, 2
    expected = r1 * r2 * r3 + 7 * r1 + 6 * r2 + 3 * r3 + 6 * 3
    assert sum(parameter.numel() for parameter in Tucker(7, 6, 3, (r1, r2, r3)).parameters()) == expected


def test_default_ranks_and_cuts():
    def of(model):
        return [tuple(layer.core.shape) for layer in model.layers]

    assert of(TensorFactorization(5, 3, (8, 4))) == [(5, 8, 3), (4, 4, 3)]
    assert of(TensorFactorization(5, 3, (8, 4), (5, 7, 2))) == [(5, 7, 2), (5, 4, 2)]


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ((6, 4, 2), r"tucker_ranks: r1 is 6 for a layer of 5 inputs\. Choose 1 to 5"),
        ((4, 9, 2), r"tucker_ranks: r2 is 9 for a layer of 8 outputs\. Choose 1 to 8"),
        ((4, 4, 4), r"tucker_ranks: r3 is 4 for a layer of 3 tasks\. Choose 1 to 3"),
        ((0, 4, 2), r"tucker_ranks: r1 is 0 for a layer of 5 inputs\. Choose 1 to 5"),
        ((4, -1, 2), r"tucker_ranks: r2 is -1"),
        ((4, 4), r"tucker_ranks: three ranks, of inputs, outputs and tasks; found \[4, 4\]"),
    ],
)
def test_ranks_that_do_not_fit(ranks, message):
    with pytest.raises(InputError, match=message):
        TensorFactorization(5, 3, (8,), ranks)
    if len(ranks) != 3:
        with pytest.raises(InputError, match=message):
            RunConfig.build({"tucker_ranks": ranks})
