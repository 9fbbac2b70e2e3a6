"""MMoE and OMoE are their equations, their parameter counts are the paper's, and one is the other where they must agree."""

from __future__ import annotations

import pytest
import torch

from manygate.architecture import MMoE, OMoE, SharedBottom
from manygate.architecture.shared_bottom import matched_bottom
from manygate.config import ModelConfig
from manygate.layers.gate import GateSettings
from manygate.layers.mixture import MixtureSettings
from manygate.layers.tower import Towers
from numpy_reading import GATES, Reading, agree, count, rows, shaken, tower, weighted

deep = pytest.mark.parametrize("hidden", [(6,), (6, 4)], ids=["one layer", "two layers"])
every_gate = pytest.mark.parametrize("gate", GATES.values(), ids=GATES)


@deep
@every_gate
@pytest.mark.parametrize("norm", [False, True], ids=["relu", "norm"])
@pytest.mark.parametrize("chosen", [(), (1, 4)], ids=["gates read x", "gates read columns"])
@pytest.mark.parametrize("tasks", [1, 3])
def test_forward_is_equations_6_to_8(hidden, gate, norm, chosen, tasks):
    model = shaken(MMoE(5, tasks, 5, hidden, MixtureSettings(gate, chosen, norm=norm)))
    towers = shaken(Towers(tasks, hidden[-1], (3,)), seed=1)
    reading = Reading(model.level, [5], [range(5)] * tasks, gate, own=False)
    x_BD, read = rows(7, 5), list(chosen or range(5))
    h_BTH, logit_BT, (gate_BTE,) = model(x_BD), towers(model(x_BD)), model.gates(x_BD)
    for b, x in enumerate(x_BD.numpy()):
        outputs = [f(x) for f in reading.experts[0]]
        for t in range(tasks):
            g = reading.row(t, x[read])
            agree(gate_BTE[b, t], g)
            agree(h_BTH[b, t], weighted(g, outputs))
            agree(logit_BT[b, t], tower(weighted(g, outputs), towers, t))


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (MMoE(100, 2, 8, (16,)), 14_818),
        (MMoE(100, 2, 8, (16,), MixtureSettings(GateSettings(bias=True))), 14_834),
        (OMoE(100, 2, 8, (16,)), 14_018),
        (OMoE(100, 2, 8, (16,), MixtureSettings(GateSettings(bias=True))), 14_026),
        (SharedBottom(100, (113,)), 13_255),
        (SharedBottom(100, (16,)), 1_906),
    ],
    ids=["mmoe", "mmoe with gate bias", "omoe", "omoe with gate bias", "shared bottom", "shared bottom of figure 3"],
)
def test_parameter_counts_of_section_5(scheme, expected):
    assert count(scheme, Towers(2, scheme.output_width, (8,))) == expected


def test_the_paper_s_bottom_has_113_units():
    """13,056 / (100 + 16), section 5.1."""
    config = ModelConfig(experts=8, expert_hidden=(16,), tower_hidden=(8,))
    assert matched_bottom(100, 2, config) == (113,) == (round(13_056 / 116),)


@deep
def test_with_one_task_it_is_omoe(hidden):
    mmoe, omoe = MMoE(5, 1, 4, hidden), OMoE(5, 1, 4, hidden)
    omoe.load_state_dict(mmoe.state_dict())
    x_BD = rows(10, 5).float()
    assert torch.equal(mmoe(x_BD), omoe(x_BD))
    assert torch.equal(mmoe.gates(x_BD)[0], omoe.gates(x_BD)[0])


@deep
def test_with_equal_gates_it_is_omoe_and_the_gradients_of_its_gates_add_up_to_omoe_s(hidden):
    mmoe, omoe = shaken(MMoE(5, 3, 4, hidden)), shaken(OMoE(5, 3, 4, hidden))
    many, one, units = mmoe.level.banks[0], omoe.level.banks[0], 4 * hidden[0]
    with torch.no_grad():
        many.weight[:, :units] = one.weight[:, :units]
        many.weight[:, units:] = one.weight[:, units:].repeat(1, 3)
        many.bias.copy_(one.bias)
        many.deeper.load_state_dict(one.deeper.state_dict())
    x_BD, target = rows(10, 5), rows(10, 3 * hidden[-1], seed=3).view(10, 3, hidden[-1])
    torch.testing.assert_close(mmoe(x_BD), omoe(x_BD).expand(-1, 3, -1), rtol=1e-12, atol=1e-12)
    for model in (mmoe, omoe):
        (model(x_BD) - target).square().sum().backward()
    gates = many.weight.grad[:, units:].view(5, 3, 4)
    torch.testing.assert_close(gates.sum(dim=1), one.weight.grad[:, units:], rtol=1e-10, atol=1e-10)
    assert not torch.allclose(gates[:, 0], gates[:, 1]), "each task trains its own gate"
    torch.testing.assert_close(many.weight.grad[:, :units], one.weight.grad[:, :units], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(many.bias.grad, one.bias.grad, rtol=1e-10, atol=1e-10)
    for found, expected in zip(many.deeper.parameters(), one.deeper.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-10, atol=1e-10)


@deep
@pytest.mark.parametrize("scheme", [MMoE, OMoE])
def test_with_one_expert_it_is_a_shared_bottom(scheme, hidden):
    mixture, bottom = scheme(5, 2, 1, hidden), SharedBottom(5, hidden)
    state = {key.replace("level.banks.0.", "bottom."): value for key, value in mixture.state_dict().items()}
    bottom.load_state_dict(state)
    x_BD = rows(10, 5).float()
    assert torch.equal(mixture(x_BD), bottom(x_BD).expand_as(mixture(x_BD)))
    assert (mixture.gates(x_BD)[0] == 1).all()
    assert count(mixture) == count(bottom)


def test_a_task_trains_all_experts_and_its_own_gate_alone():
    model = shaken(MMoE(5, 3, 4, (6,)))
    bank = model.level.banks[0]
    for t in range(3):
        model.zero_grad()
        model(rows(20, 5))[:, t].square().sum().backward()
        experts, gates = bank.weight.grad.split([24, 12], dim=1)
        assert (experts != 0).any(dim=0).all()
        assert [bool((gate != 0).any()) for gate in gates.split(4, dim=1)] == [t == other for other in range(3)]


def test_changing_one_task_s_gate_changes_that_task_alone():
    model = shaken(MMoE(5, 3, 4, (6,)))
    before = model(rows(10, 5))
    with torch.no_grad():
        model.level.banks[0].weight[:, 24 + 4] += 1.0  # task 1, expert 0
    after = model(rows(10, 5))
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.allclose(before[:, 1], after[:, 1])
