"""PLE is its equations level by level, and each task trains what the paper's wiring gives it."""

from __future__ import annotations

import pytest
import torch

from manygate.architecture import CGC, PLE, Level, MMoE
from manygate.architecture.level import levels_of
from manygate.config import ModelConfig
from manygate.errors import InputError
from manygate.layers.gate import GateSettings
from manygate.layers.mixture import MixtureSettings
from numpy_reading import GATES, agree, ple, rows, shaken

LEVELS = {
    "one level": [Level((2, 2), 2, (6,))],
    "two levels": [Level((2, 2), 2, (6,)), Level((1, 1), 2, (5,))],
    "three levels, three tasks, uneven, deep": [
        Level((2, 1, 3), 2, (6, 4)),
        Level((1, 2, 1), 1, (5,)),
        Level((3, 1, 2), 2, (4, 7)),
    ],
    "no own experts for a task": [Level((2, 0), 2, (6, 4)), Level((0, 2), 2, (5, 4)), Level((2, 1), 2, (4, 3))],
    "nothing shared": [Level((2, 3), 0, (6,)), Level((2, 2), 0, (5,))],
    "shared on the first level alone": [Level((2, 2), 2, (6, 4)), Level((2, 3), 0, (5, 4))],
    "shared on the last level alone": [Level((2, 2), 0, (6, 4)), Level((1, 2), 2, (5, 4))],
    "shared on the levels at both ends": [Level((2, 2), 2, (6, 4)), Level((2, 3), 0, (5, 4)), Level((1, 1), 3, (4, 3))],
    "only shared": [Level((0, 0), 3, (6,)), Level((0, 0), 2, (5,))],
    "own widths for each task": [Level((2, 1), 2, (6, 4), ((4,), (5, 3, 4))), Level((1, 2), 1, (5,), ((6, 5), (5,)))],
    "one expert each": [Level((1, 1), 1, (6,)), Level((1, 1), 1, (6,))],
}
every_level = pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
every_gate = pytest.mark.parametrize("gate", GATES.values(), ids=GATES)


def fits(gate, levels):
    return gate.kind == "softmax" or all(len(seen) >= gate.k for level in levels for seen in level.seen())


@every_level
@every_gate
@pytest.mark.parametrize("chosen", [(), (1, 4)], ids=["gates read g", "gates read columns"])
def test_forward_is_the_paper_s(levels, gate, chosen):
    if not fits(gate, levels):
        with pytest.raises(InputError, match=r"top_k: 2 experts cannot be selected where a gate sees 1\. Choose 1 to 1"):
            PLE(5, levels, MixtureSettings(gate, chosen))
        return
    model = shaken(PLE(5, levels, MixtureSettings(gate, chosen)))
    x_BD = rows(6, 5)
    h_BTH, gates = model(x_BD), model.gates(x_BD)
    assert len(gates) == len(levels)
    for b, x in enumerate(x_BD.numpy()):
        expected, weights = ple(x, model, levels, gate, chosen)
        agree(h_BTH[b], expected)
        for j, gate_BTE in enumerate(gates):
            agree(gate_BTE[b, :, : len(weights[j][0])], weights[j])


@pytest.mark.parametrize("name", ["two levels", "own widths for each task", "no own experts for a task"])
def test_forward_with_normalised_experts(name):
    levels = LEVELS[name]
    model = shaken(PLE(5, levels, MixtureSettings(norm=True)))
    x_BD = rows(6, 5)
    for b, x in enumerate(x_BD.numpy()):
        agree(model(x_BD)[b], ple(x, model, levels, GateSettings())[0])


@every_level
def test_one_level_is_cgc(levels):
    cgc, one = CGC(5, levels[0]), PLE(5, levels[:1])
    one.load_state_dict(cgc.ple.state_dict())
    x_BD = rows(9, 5).float()
    assert torch.equal(cgc(x_BD), one(x_BD))
    assert torch.equal(cgc.gates(x_BD)[0], one.gates(x_BD)[0])


@pytest.mark.parametrize("hidden", [(6,), (6, 4)])
@pytest.mark.parametrize("scheme", [CGC, PLE])
def test_one_level_without_own_experts_is_mmoe(scheme, hidden):
    level = Level((0, 0, 0), 4, hidden)
    ple, mmoe = scheme(5, level if scheme is CGC else [level]), MMoE(5, 3, 4, hidden)
    state = {key.replace("ple.", "").replace("levels.0.", "level."): value for key, value in ple.state_dict().items()}
    mmoe.load_state_dict(state)
    x_BD = rows(9, 5).float()
    assert torch.equal(ple(x_BD), mmoe(x_BD))
    assert torch.equal(ple.gates(x_BD)[0], mmoe.gates(x_BD)[0])


def trained_by(model, t, inputs=5, size=64):
    """Parameter -> where the gradient of task t's output is not exactly zero."""
    model.zero_grad()
    model(rows(size, inputs))[:, t].square().sum().backward()
    return {name: parameter.grad != 0 for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_what_each_task_trains_in_one_level():
    """Its own experts, the shared ones and its own gate, and of no other task a single number."""
    level = Level((2, 1, 1), 2, (6,))
    model = shaken(PLE(5, [level]))
    for t, seen in enumerate(level.seen()):
        weight_DN = trained_by(model, t)["levels.0.banks.0.weight"]
        experts = weight_DN[:, :36].any(dim=0).view(6, 6).all(dim=1)
        assert experts.tolist() == [e in seen for e in range(6)]
        gates = [bool(gate.any()) for gate in weight_DN[:, 36:].split([4, 3, 3], dim=1)]
        assert gates == [k == t for k in range(3)]


def test_what_each_task_trains_in_three_levels():
    """The last level: its own. Below, the shared gates mix every task's experts, so task t reaches these through the shared
    experts above, and the shared gates, but never another task's gate of any level but those that its path runs through."""
    levels = [Level((2, 2), 2, (6,))] * 3
    model = shaken(PLE(6, levels), seed=4)
    for t in range(2):
        other, found = 1 - t, trained_by(model, t, inputs=6)
        # Level 3: groups own of 0, own of 1, shared; task gates see 4 experts.
        experts = {s: found[name] for s, name in enumerate(self_bank(model, 2)) if name in found}
        assert reached(experts[0])[t] == (True, True)
        assert reached(experts[0])[other] == (False, False)
        assert reached(experts[1])[0] == (True, False)  # the shared experts; the last level has no shared gate
        # Level 2: own experts of both tasks (the other's through the shared gate), no gate of the other task.
        assert reached(found["levels.1.banks.0.weight"])[t] == (True, True)
        assert reached(found["levels.1.banks.0.weight"])[other] == (True, False)
        assert reached(found["levels.1.banks.1.weight"])[0] == (True, True)
        # Level 1: the other task's experts at level 2 read its gate of level 1, so that task t trains it too.
        weight_DN = found["levels.0.banks.0.weight"]
        assert weight_DN[:, :36].any(dim=0).all()
        assert [bool(gate.any()) for gate in weight_DN[:, 36:].split([4, 4, 6], dim=1)] == [True, True, True]


def test_what_each_task_trains_in_two_levels():
    """Level 2 gives t nothing of the other task's, so the other's gate of level 1 is out of reach; its experts are not."""
    model = shaken(PLE(6, [Level((2, 2), 2, (6,))] * 2), seed=4)
    for t in range(2):
        found = trained_by(model, t, inputs=6)
        weight_DN = found["levels.0.banks.0.weight"]
        assert weight_DN[:, :36].any(dim=0).all()
        gates = [bool(gate.any()) for gate in weight_DN[:, 36:].split([4, 4, 6], dim=1)]
        assert gates == [t == 0, t == 1, True]


def self_bank(model, j):
    return [f"levels.{j}.banks.{n}.weight" for n in range(len(model.levels[j].banks))]


def reached(weight: torch.Tensor) -> list[tuple[bool, bool]]:
    """Whether the two experts (6 units each), and the gate, of each input of a bank are trained."""
    stack = weight if weight.ndim == 3 else weight.unsqueeze(0)
    return [(bool(one[:, :12].any()), bool(one[:, 12:].any())) for one in stack]


@pytest.mark.parametrize("scheme", ["cgc", "ple"])
@pytest.mark.parametrize("hidden", [(6,), (6, 4)])
def test_nothing_shared_means_exactly_no_gradient_between_tasks(scheme, hidden):
    level = Level((2, 2), 0, hidden)
    model = shaken(CGC(5, level) if scheme == "cgc" else PLE(5, [level, Level((1, 2), 0, (5,))]))
    for t in range(2):
        both = [trained_by(model, k) for k in range(2)]
        for name in both[0]:
            assert not (both[t][name] & both[1 - t][name]).any(), name
            assert (both[0][name] | both[1][name]).float().mean() > 0.5, name


def test_the_shared_gate_s_input_is_the_shared_output_and_not_a_task_s():
    """Changing task 0's gate of level 1 reaches task 1 at level 2 through nothing, and at level 3 through the shared experts."""
    for depth, moved in ((2, False), (3, True)):
        model = shaken(PLE(6, [Level((2, 2), 2, (6,))] * depth))
        before = model(rows(8, 6))
        with torch.no_grad():
            model.levels[0].banks[0].weight[:, 36] += 0.5
        after = model(rows(8, 6))
        assert not torch.allclose(before[:, 0], after[:, 0])
        assert torch.equal(before[:, 1], after[:, 1]) != moved


def levels(**settings):
    return levels_of(2, ModelConfig(experts=8, expert_hidden=(6,), **settings), 2)
