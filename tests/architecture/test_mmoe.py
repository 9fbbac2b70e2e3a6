"""MMoE is its equations, its parameter counts are the paper's, and its experts start as experts of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reading import mixture, tower

from manygate.architecture import MMoE, OMoE, SharedBottom
from manygate.layers import Experts
from manygate.tower import Towers

deep = pytest.mark.parametrize("hidden", [(6,), (6, 4)], ids=["one layer", "two layers"])
bias = pytest.mark.parametrize("gate_bias", [False, True], ids=["no gate bias", "gate bias"])


def count(*modules: torch.nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def shaken(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """In float64, with every parameter (biases too) away from zero."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def rows(size: int, inputs: int) -> torch.Tensor:
    return torch.randn(size, inputs, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@deep
@bias
@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_forward_is_equations_6_to_8(hidden, gate_bias, tasks):
    model = shaken(MMoE(5, tasks, 4, hidden, gate_bias=gate_bias))
    towers = shaken(Towers(tasks, hidden[-1], (3,)), seed=1)
    x_BD = rows(8, 5)
    logit_BT = towers(model(x_BD)).detach().numpy()
    for b, x in enumerate(x_BD.numpy()):
        for t in range(tasks):
            f = mixture(x, model.experts, t)
            np.testing.assert_allclose(model(x_BD)[b, t].detach().numpy(), f, rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(logit_BT[b, t], tower(f, towers, t), rtol=1e-10, atol=1e-10)


def test_towers_of_any_depth_and_none():
    for hidden in ((), (3,), (4, 3)):
        towers = shaken(Towers(2, 6, hidden))
        h_BTH = rows(12, 6).view(6, 2, 6)
        expected = [[tower(h_BTH[b, t].numpy(), towers, t) for t in range(2)] for b in range(6)]
        np.testing.assert_allclose(towers(h_BTH).detach().numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (MMoE(100, 2, 8, (16,)), 14_818),
        (MMoE(100, 2, 8, (16,), gate_bias=True), 14_834),
        (OMoE(100, 2, 8, (16,)), 14_018),
        (SharedBottom(100, 2, (113,)), 13_255),
    ],
    ids=["mmoe", "mmoe with gate bias", "omoe", "shared bottom"],
)
def test_parameter_counts_of_section_5(scheme, expected):
    assert count(scheme, Towers(2, scheme.output_width, (8,))) == expected


@deep
def test_with_one_task_it_is_omoe(hidden):
    mmoe, omoe = MMoE(5, 1, 4, hidden), OMoE(5, 1, 4, hidden)
    omoe.load_state_dict(mmoe.state_dict())
    x_BD = rows(10, 5).float()
    assert torch.equal(mmoe(x_BD), omoe(x_BD))
    assert torch.equal(mmoe.gates(x_BD)[0], omoe.gates(x_BD)[0])


@deep
def test_with_one_expert_it_is_a_shared_bottom(hidden):
    mmoe, bottom = MMoE(5, 2, 1, hidden), SharedBottom(5, 2, hidden)
    state = mmoe.state_dict()
    state = {key.replace("experts.", "bottom.", 1): value for key, value in state.items()}
    state["bottom.weight"] = state["bottom.weight"][:, : hidden[0]]
    bottom.load_state_dict(state)
    x_BD = rows(10, 5).float()
    torch.testing.assert_close(mmoe(x_BD), bottom(x_BD), rtol=1e-6, atol=1e-7)
    assert (mmoe.gates(x_BD)[0] == 1).all()


def test_each_expert_and_gate_is_initialised_with_its_own_fans():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = Experts(100, 8, (32, 20), gates=2)
    weight_DN = layer.weight.detach()
    first_EDH = weight_DN[:, : 8 * 32].unflatten(1, (8, 32)).movedim(1, 0)
    gate_GDE = weight_DN[:, 8 * 32 :].unflatten(1, (2, 8)).movedim(1, 0)
    for stack, bound in (
        (first_EDH, (6 / (100 + 32)) ** 0.5),
        (gate_GDE, (6 / (100 + 8)) ** 0.5),
        (layer.deeper.weights[0].detach(), (6 / (32 + 20)) ** 0.5),
    ):
        for matrix in stack:
            assert 0.98 * bound < matrix.abs().max() <= bound
            assert matrix.mean().abs() < 0.1 * bound
            assert matrix.var().item() == pytest.approx(bound**2 / 3, rel=0.15)
        for i in range(len(stack)):
            for j in range(i):
                correlation = torch.corrcoef(torch.stack([stack[i].flatten(), stack[j].flatten()]))[0, 1]
                assert correlation.abs() < 0.2, "two experts start alike"
    assert (layer.bias == 0).all()
    assert all((values == 0).all() for values in layer.deeper.biases)


def test_changing_one_task_s_gate_changes_that_task_alone():
    model = MMoE(5, 3, 4, (6,))
    x_BD = rows(10, 5).float()
    before = model(x_BD)
    with torch.no_grad():
        model.experts.weight[:, model.experts.first_units + 4] += 1.0  # task 1, expert 0
    after = model(x_BD)
    assert torch.equal(before[:, 0], after[:, 0])
    assert torch.equal(before[:, 2], after[:, 2])
    assert not torch.allclose(before[:, 1], after[:, 1])
