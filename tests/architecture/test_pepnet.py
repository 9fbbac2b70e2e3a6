"""PEPNet scales the input and every hidden unit by gates that read prior features and what they must not train."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.architecture import Inputs, PEPNet
from manygate.architecture.pepnet import GateUnit
from manygate.config import ModelConfig
from numpy_reading import agree, array, nets, rows, shaken, unit_nets

HIDDEN = {"one layer": (6,), "three layers": (6, 4, 3)}


def gate(x, unit):
    """2 sigmoid(W' relu(W x + b) + b')."""
    hidden = np.maximum(x @ array(unit.weights[0]) + array(unit.biases[0]), 0.0)
    return 2 / (1 + np.exp(-(hidden @ array(unit.weights[1]) + array(unit.biases[1]))))


def pepnet(x, model, hidden, tasks, prior):
    known = x[list(prior)]
    o = gate(np.concatenate([known, x]), model.embedding_gate) * x
    read = np.concatenate([known, o])
    found = []
    for t in range(tasks):
        h = o
        for number, width in enumerate(hidden):
            net = nets(model.first)[t] if number == 0 else unit_nets(model.later[number - 1])[t]
            h = net(h) * gate(read, model.unit_gates[number])[t * width : (t + 1) * width]
        found.append(h)
    return found


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("prior", [(), (0, 3)], ids=["no prior", "prior"])
def test_forward_is_equations_2_to_8(hidden, tasks, prior):
    model = shaken(PEPNet(5, tasks, hidden, prior, gate_hidden=7))
    x_BD = rows(8, 5)
    for b, x in enumerate(x_BD.numpy()):
        agree(model(x_BD)[b], pepnet(x, model, hidden, tasks, prior))


@pytest.mark.parametrize("prior", [(), (0, 3)], ids=["no prior", "prior"])
def test_no_gradient_reaches_x_through_the_gates(prior):
    """With all networks' weights held, x is trained as if the gates were constants, except at the prior features."""
    model = shaken(PEPNet(5, 2, (6, 4), prior))
    x_BD, other_BD = rows(30, 5).requires_grad_(), rows(30, 5).requires_grad_()
    model(x_BD).square().sum().backward()
    with torch.no_grad():
        known = other_BD[:, list(prior)]
        embedding = model.embedding_gate(torch.cat([known, other_BD], dim=1))
        read = torch.cat([known, embedding * other_BD], dim=1)
        scales = [unit(read).unflatten(1, (2, -1)) for unit in model.unit_gates]
    h = model.first(embedding * other_BD)[0] * scales[0]
    (model.later[0](h) * scales[1]).square().sum().backward()
    same = torch.isclose(x_BD.grad, other_BD.grad, rtol=1e-10, atol=1e-12).all(dim=0)
    assert same.tolist() == [d not in prior for d in range(5)]


def test_gates_are_between_0_and_2_and_about_1_at_first():
    unit = GateUnit(20, 32, 50)
    scale = unit(rows(200, 20).float())
    assert 0 < scale.min() < 0.9
    assert 1.1 < scale.max() < 2
    assert scale.mean().item() == pytest.approx(1.0, abs=0.1)
    with torch.no_grad():
        for parameter in unit.parameters():
            parameter.zero_()
    assert (unit(rows(3, 20).float()) == 1).all()


def test_a_task_trains_its_own_network_and_its_part_of_the_gates():
    model = shaken(PEPNet(5, 2, (6, 4)))
    model(rows(60, 5))[:, 0].sum().backward()
    assert (model.first.weight.grad[:, 6:] == 0).all()
    assert (model.later[0].weights[0].grad[1] == 0).all()
    for unit, width in zip(model.unit_gates, (6, 4), strict=True):
        assert (unit.weights[1].grad[:, width:] == 0).all()
        assert (unit.weights[1].grad[:, :width] != 0).any()
    assert (model.embedding_gate.weights[1].grad != 0).any()


def test_the_prior_features_are_those_of_the_gates():
    model = PEPNet.build(Inputs(5, (1, 2)), 2, ModelConfig(bottom_hidden=(6,), gate_hidden=9))
    assert model.embedding_gate.weights[0].shape == (7, 9)
    assert model.pick.columns == (1, 2)
