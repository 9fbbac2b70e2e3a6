"""STEM forwards every expert to every task, and trains by each task its own experts and the shared ones alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.architecture import STEM, Inputs, Level
from manygate.config import ModelConfig
from manygate.errors import InputError
from manygate.layers.gate import GateSettings
from manygate.layers.mixture import MixtureSettings
from numpy_reading import GATES, Reading, agree, array, rows, shaken, weighted

LEVELS = {
    "two tasks": Level((2, 2), 2, (6,)),
    "uneven, deep": Level((2, 1, 3), 2, (6, 4)),
    "no own experts for a task": Level((0, 2), 1, (6, 4)),
    "own widths": Level((2, 1), 1, (5, 4), ((6, 4), (4,))),
}


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
@pytest.mark.parametrize("chosen", [(), (0, 2)], ids=["gates read their embedding", "gates read columns"])
@pytest.mark.parametrize("norm", [False, True], ids=["relu", "norm"])
def test_forward_mixes_all_experts(level, gate, chosen, norm):
    tasks = len(level.task_experts)
    model = shaken(STEM(4, level, MixtureSettings(gate, chosen, norm=norm)))
    groups = [*level.task_experts, level.shared_experts]
    read = Reading(model.level, groups, [range(sum(groups))] * tasks, gate, own=True)
    x_BD = rows(6, 4 * (tasks + 1))
    h_BTH, (gate_BTE,) = model(x_BD), model.gates(x_BD)
    for b, row in enumerate(x_BD.numpy()):
        x = row.reshape(tasks + 1, 4)  # the tasks' own embeddings, then the shared one
        outputs = [net(x[s]) for s, nets in enumerate(read.experts) for net in nets]
        for t in range(tasks):
            g = read.gate(t, x[-1][list(chosen)] if chosen else x[t])
            agree(gate_BTE[b, t], g)
            agree(h_BTH[b, t], weighted(g, outputs))


def test_all_forward_task_specific_backward():
    """Task t's output depends on the other task's experts and embedding, and leaves them exactly alone when it trains."""
    model = shaken(STEM(4, Level((2, 2), 2, (6,))))
    x_BD = rows(64, 12).requires_grad_()
    weight_SDN = model.level.banks[0].weight  # side by side: task 0's experts and gate, then task 1's
    shared = model.level.banks[1].weight
    for t in range(2):
        other = 1 - t
        model.zero_grad()
        x_BD.grad = None
        before = model(x_BD)[:, t]
        before.square().sum().backward()
        assert (weight_SDN.grad[other] == 0).all(), "experts and gate of the other task"
        assert (weight_SDN.grad[t] != 0).float().mean() > 0.8
        assert (shared.grad != 0).float().mean() > 0.8
        read = x_BD.grad.view(-1, 3, 4)
        assert (read[:, other] == 0).all(), "the other task's embedding"
        assert (read[:, t] != 0).any(dim=1).all()
        assert (read[:, 2] != 0).any(dim=1).float().mean() > 0.8
        kept = weight_SDN.detach().clone()
        with torch.no_grad():
            weight_SDN[other, :, :12] += 1.0
            assert not torch.allclose(model(x_BD)[:, t], before), "its output depends on the other task's experts"
            weight_SDN.copy_(kept)


def test_the_gate_learns_from_every_expert():
    """The stop is at the experts and not at the gate's weights of them."""
    model = shaken(STEM(4, Level((2, 2), 2, (6,))))
    model(rows(64, 12))[:, 0].square().sum().backward()
    gate = model.level.banks[0].weight.grad[0, :, 12:]
    assert gate.shape == (4, 6)
    assert (gate != 0).all()


def softmax(z):
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


@pytest.mark.parametrize("gate_input", ["own", "sum"])
@pytest.mark.parametrize("hidden", [(), (5,), (5, 3)])
@pytest.mark.parametrize("chosen", [(), (0, 2)], ids=["embedding", "columns"])
def test_gates_of_sums_and_with_hidden_layers(gate_input, hidden, chosen):
    """The authors' code: softmax(MLP_t(x_t + x_shared))."""
    if chosen and gate_input == "sum":
        with pytest.raises(InputError, match=r"stem_gate_input.*Leave out gate_features"):
            STEM(4, LEVELS["two tasks"], MixtureSettings(gate_columns=chosen), gate_input, hidden)
        return
    if gate_input == "own" and not hidden:
        return  # test_forward_mixes_all_experts
    level = LEVELS["own widths"]
    model = shaken(STEM(4, level, MixtureSettings(GateSettings(bias=True), chosen), gate_input, hidden))
    x_BD = rows(6, 12)
    h_BTH, (gate_BTE,) = model(x_BD), model.gates(x_BD)
    bias_TE = array(model.level.gates.bias).reshape(2, 4)
    matrix_TFE, expert_BEH = array(model.level.gate_weight), array(model._level(x_BD)[0])
    for b, row in enumerate(x_BD.numpy()):
        x = row.reshape(3, 4)
        for t in range(2):
            z = x[2][list(chosen)] if chosen else x[t] + (x[2] if gate_input == "sum" else 0)
            for layer in range(len(hidden)):
                weight, bias = model.gate_layers.weights[layer], model.gate_layers.biases[layer]
                z = np.maximum(z @ array(weight)[t] + array(bias)[t, 0], 0)
            g = softmax(z @ matrix_TFE[t] + bias_TE[t])
            agree(gate_BTE[b, t], g)
        agree(h_BTH[b], array(gate_BTE[b]) @ expert_BEH[b])


def test_a_gate_of_sums_trains_the_shared_embedding_and_its_own_alone():
    model = shaken(STEM(4, Level((2, 2), 2, (6,)), gate_input="sum", gate_hidden=(5,)))
    x_BD = rows(64, 12).requires_grad_()
    _, gate_BTE = model._level(x_BD)
    gate_BTE[:, 0, 0].sum().backward()
    read_BSD = x_BD.grad.view(-1, 3, 4)
    assert (read_BSD[:, 1] == 0).all()
    torch.testing.assert_close(read_BSD[:, 0], read_BSD[:, 2])
    assert (read_BSD[:, 0] != 0).any()
    assert (model.gate_layers.weights[0].grad[1] == 0).all()


def test_settings_that_do_not_fit():
    with pytest.raises(InputError, match=r"shared_experts: STEM needs at least one"):
        STEM.build(Inputs(4), 2, ModelConfig(shared_experts=0))
