"""L2-Constrained is a network for each task and a penalty on the distance of all that they have."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from manygate.architecture import L2Constrained
from manygate.layers.tower import Towers
from numpy_reading import agree, array, nets, rows, shaken

deep = pytest.mark.parametrize("hidden", [(6,), (6, 4, 3)], ids=["one layer", "three layers"])
some_tasks = pytest.mark.parametrize("tasks", [1, 2, 4])


def built(tasks, hidden, alpha=0.3):
    return shaken(L2Constrained(5, tasks, hidden, alpha)), shaken(Towers(tasks, hidden[-1], (4, 2)), seed=1)


def theta(model, towers, t):
    """Every number that task t has."""
    parts = [part for layer in nets(model.bottoms)[t].layers for part in layer]
    for weight, bias in zip(towers.hidden.weights, towers.hidden.biases, strict=True):
        parts += [array(weight)[t], array(bias)[t]]
    return [*parts, array(towers.weight)[t], array(towers.bias)[t]]


@deep
@some_tasks
def test_forward_is_a_network_for_each_task(hidden, tasks):
    model, _ = built(tasks, hidden)
    x_BD = rows(8, 5)
    for b, x in enumerate(x_BD.numpy()):
        agree(model(x_BD)[b], [net(x) for net in nets(model.bottoms)])


@deep
@some_tasks
def test_penalty_is_the_sum_over_pairs_of_all_squares(hidden, tasks):
    model, towers = built(tasks, hidden)
    expected = 0.0
    for j, k in combinations(range(tasks), 2):
        for one, two in zip(theta(model, towers, j), theta(model, towers, k), strict=True):
            expected += ((one - two) ** 2).sum()
    assert sum(part.size for part in theta(model, towers, 0)) * tasks == sum(
        parameter.numel() for module in (model, towers) for parameter in module.parameters()
    ), "theta is everything that a task has"
    agree(model.penalty(towers), 0.3 * expected)


@deep
def test_gradient_is_twice_alpha_times_the_difference(hidden):
    model, towers = built(2, hidden)
    model.penalty(towers).backward()
    for parameter in towers.parameters():
        one, two = parameter.detach()
        agree(parameter.grad[0], 2 * 0.3 * array(one - two))
        agree(parameter.grad[1], -2 * 0.3 * array(one - two))
    for parameter in model.bottoms.deeper.parameters():
        agree(parameter.grad[0], 2 * 0.3 * array(parameter[0] - parameter[1]))
        agree(parameter.grad[1], -2 * 0.3 * array(parameter[0] - parameter[1]))
    weight, grad = (value.view(5, 2, hidden[0]) for value in (model.bottoms.weight.detach(), model.bottoms.weight.grad))
    agree(grad[:, 0], 0.6 * array(weight[:, 0] - weight[:, 1]))
    agree(grad[:, 1], -0.6 * array(weight[:, 0] - weight[:, 1]))
    bias, grad = (value.view(2, hidden[0]) for value in (model.bottoms.bias.detach(), model.bottoms.bias.grad))
    agree(grad[0], 0.6 * array(bias[0] - bias[1]))
    agree(grad[1], -0.6 * array(bias[0] - bias[1]))


def test_equal_networks_cost_nothing():
    model, towers = built(3, (6, 4))
    with torch.no_grad():
        model.bottoms.weight.copy_(model.bottoms.weight[:, :6].repeat(1, 3))
        model.bottoms.bias.copy_(model.bottoms.bias[:6].repeat(3))
        for parameter in (*model.bottoms.deeper.parameters(), *towers.parameters()):
            parameter.copy_(parameter[:1].expand_as(parameter))
    assert model.penalty(towers).item() == pytest.approx(0.0, abs=1e-25)
