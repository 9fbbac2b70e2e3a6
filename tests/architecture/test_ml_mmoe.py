"""ML-MMoE mixes the level below for each expert by a gate of the expert's own, and the last level for each task."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.architecture import Inputs, MLMMoE, MMoE
from manygate.config import ModelConfig
from manygate.errors import InputError
from manygate.layers.mixture import MixtureSettings
from numpy_reading import GATES, Reading, agree, rows, shaken, weighted

HIDDEN = {"one level": [(6,)], "two levels": [(6,), (5,)], "three levels, deep": [(6, 4), (5,), (3, 7)]}
every_hidden = pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)


def ml_mmoe(x, model, experts, tasks, hidden, gate, gate_input, chosen):
    h, weights = [x] * experts, []
    for j, level in enumerate(model.levels):
        last = j == len(hidden) - 1
        groups, gates = [1] * experts if j else [experts], tasks if last else experts
        read = Reading(level, groups, [range(experts)] * gates, gate, own=False)
        nets = [net for group in read.experts for net in group]
        f = [net(h[i]) for i, net in enumerate(nets)]
        at = x[list(chosen)] if chosen else x if j == 0 or gate_input == "raw" else np.concatenate(h)
        weights = [read.gate(g, at) for g in range(gates)]
        h = [weighted(weights[g], f) for g in range(gates)]
    return h, weights


@every_hidden
@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
@pytest.mark.parametrize("gate_input", ["previous", "raw"])
@pytest.mark.parametrize("chosen", [(), (1, 4)], ids=["gates read all", "gates read columns"])
def test_forward(hidden, gate, gate_input, chosen):
    model = shaken(MLMMoE(5, 2, 3, hidden, gate_input, MixtureSettings(gate, chosen)))
    x_BD = rows(6, 5)
    h_BTH, (gate_BTE,) = model(x_BD), model.gates(x_BD)
    for b, x in enumerate(x_BD.numpy()):
        h, weights = ml_mmoe(x, model, 3, 2, hidden, gate, gate_input, chosen)
        agree(h_BTH[b], h)
        agree(gate_BTE[b], weights)


def test_forward_with_normalised_experts():
    hidden, gate = HIDDEN["three levels, deep"], GATES["softmax"]
    model = shaken(MLMMoE(5, 3, 4, hidden, settings=MixtureSettings(norm=True)))
    x_BD = rows(6, 5)
    for b, x in enumerate(x_BD.numpy()):
        agree(model(x_BD)[b], ml_mmoe(x, model, 4, 3, hidden, gate, "previous", ())[0])


@pytest.mark.parametrize("hidden", [(6,), (6, 4)])
def test_one_level_is_mmoe(hidden):
    deep, mmoe = MLMMoE(5, 3, 4, [hidden]), MMoE(5, 3, 4, hidden)
    mmoe.load_state_dict({key.replace("levels.0.", "level."): value for key, value in deep.state_dict().items()})
    x_BD = rows(9, 5).float()
    assert torch.equal(deep(x_BD), mmoe(x_BD))


def test_a_task_trains_every_level_but_no_other_task_s_last_gate():
    model = shaken(MLMMoE(5, 2, 3, [(6,), (6,)], "raw"))
    model(rows(64, 5))[:, 0].sum().backward()
    for parameter in model.levels[0].parameters():
        assert (parameter.grad != 0).float().mean() > 0.8
    grad = model.levels[1].gate_weight.grad
    assert (grad[:, :3] != 0).all()
    assert (grad[:, 3:] == 0).all()


def test_settings_become_levels():
    config = ModelConfig(experts=3, levels=3, level_hidden="6/5,4/3", ml_gate_input="raw")
    model = MLMMoE.build(Inputs(7), 2, config)
    assert [level.output_width for level in model.levels] == [6, 4, 3]
    assert model.raw
    assert [len(level.gates.sees) for level in model.levels] == [3, 3, 2]
    with pytest.raises(InputError, match=r"level_hidden: widths of 3 levels for 2\. Give one, or 2"):
        MLMMoE.build(Inputs(7), 2, config.model_copy(update={"levels": 2}))
