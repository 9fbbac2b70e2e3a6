"""A level gives the same whether its experts run alone, stacked, or only on the rows that chose them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from manygate.errors import InputError
from manygate.kernels.mixing import mix
from manygate.layers import mixture
from manygate.layers.gate import GateSettings
from manygate.layers.mixture import PLAIN, Group, Mixture, MixtureSettings
from numpy_reading import GATES, Reading, agree, count, rows, shaken

SEES = [(0, 1, 4, 5), (2, 3, 4, 5), range(6)]
WIDTHS = {
    "alike": [Group(2, (6, 4)), Group(2, (6, 4)), Group(2, (6, 4))],
    "own widths": [Group(2, (4,)), Group(2, (5, 3, 4)), Group(2, (6, 4))],
    "uneven": [Group(1, (6, 4)), Group(3, (6, 4)), Group(2, (6, 4))],
    "without one": [Group(0, (9, 7)), Group(4, (6, 4)), Group(2, (5, 4))],
}
every_width = pytest.mark.parametrize("groups", WIDTHS.values(), ids=WIDTHS)
every_gate = pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
SELECTING = {name: gate for name, gate in GATES.items() if gate.kind == "topk"}
SELECTING["dselect_k"] = GateSettings(kind="dselect_k", k=1, temperature=0.02)


@every_width
@every_gate
@pytest.mark.parametrize("own", [False, True], ids=["one input", "own inputs"])
@pytest.mark.parametrize("gate_inputs", [None, 3], ids=["gates read x", "gates read something else"])
@pytest.mark.parametrize("norm", [False, True], ids=["relu", "norm"])
def test_a_level_is_each_expert_and_each_gate_on_its_own(groups, gate, own, gate_inputs, norm):
    level = shaken(Mixture(5, groups, SEES, MixtureSettings(gate, norm=norm), own, gate_inputs, dense=True))
    read = Reading(level, [group.experts for group in groups], SEES, gate, own)
    x, other = rows(7 * 3, 5).view(7, 3, 5), rows(7, 3, seed=2)
    x = x if own else x[:, 0]
    given = other if gate_inputs else None
    expert_BEH, gate_BGE = level(x, given)
    torch.testing.assert_close(level.weights(x, given), gate_BGE, rtol=1e-12, atol=1e-12)
    for b in range(7):
        inputs = [x[b, s].numpy() for s in range(3)] if own else [x[b].numpy()] * 3
        agree(expert_BEH[b], [net(inputs[s]) for s in range(3) for net in read.experts[s]])
        agree(gate_BGE[b], [read.row(g, other[b].numpy() if gate_inputs else inputs[g]) for g in range(3)])


@every_width
@pytest.mark.parametrize("gate", SELECTING.values(), ids=SELECTING)
@pytest.mark.parametrize("norm", [False, True], ids=["relu", "norm"])
@pytest.mark.parametrize("gate_inputs", [None, 3], ids=["gates read x", "gates read something else"])
@pytest.mark.parametrize("size", [1, 2, 40])
@pytest.mark.parametrize("worth", [2**60, 0], ids=["all on all rows", "each on its rows"])
def test_experts_that_run_only_where_selected_give_the_same(groups, gate, norm, gate_inputs, size, worth, monkeypatch):
    monkeypatch.setattr(mixture, "WORTH_SELECTING", worth)
    level = shaken(Mixture(5, groups, SEES, MixtureSettings(gate, norm=norm), False, gate_inputs))
    x, given = rows(size, 5), rows(size, 3, seed=2) if gate_inputs else None
    expert_BEH, gate_BGE = level(x, given)
    assert expert_BEH.shape == (size, 6, 4)
    level.dense = True
    dense_BEH, dense_BGE = level(x, given)
    torch.testing.assert_close(gate_BGE, dense_BGE, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mix(gate_BGE, expert_BEH), mix(dense_BGE, dense_BEH), rtol=1e-12, atol=1e-12)
    left_out = (gate_BGE != 0).any(dim=1).logical_not()
    assert (expert_BEH[left_out] == 0).all() or worth > 0
    assert left_out.any() or size < 40, "some rows leave some expert out"


def test_no_expert_runs_on_a_row_that_did_not_select_it(monkeypatch):
    monkeypatch.setattr(mixture, "WORTH_SELECTING", 0)
    level = shaken(Mixture(5, [Group(8, (6,))], [range(8)], MixtureSettings(GateSettings(kind="topk", k=1))))
    seen: dict[int, int] = {}
    original = level.banks[0].forward_expert

    def counted(e: int, x_BD: Tensor) -> Tensor:
        seen[e] = len(x_BD)
        return original(e, x_BD)

    monkeypatch.setattr(level.banks[0], "forward_expert", counted)
    gate_BGE = level(rows(50, 5))[1]
    assert seen == {e: n for e, n in enumerate((gate_BGE[:, 0] != 0).sum(dim=0).tolist()) if n}
    assert sum(seen.values()) == 50


def test_training_runs_every_expert_on_every_row():
    level = shaken(Mixture(5, [Group(4, (6,))], [range(4)], MixtureSettings(GateSettings(kind="topk", k=1)))).train()
    level.gates.kinds[0].noise.drawn = torch.zeros(9, 1, 4, dtype=torch.float64)
    expert_BEH, gate_BGE = level(rows(9, 5))
    assert ((gate_BGE != 0).sum(dim=-1) == 1).all()
    assert (expert_BEH != 0).any(dim=-1).float().mean() > 0.8


@pytest.mark.parametrize("kind", ["topk", "dselect_k"])
@pytest.mark.parametrize("worth", [2**60, 0])
def test_selection_under_autocast(kind, worth, monkeypatch):
    monkeypatch.setattr(mixture, "WORTH_SELECTING", worth)
    level = shaken(Mixture(5, [Group(8, (6, 4))], [range(8)] * 2, MixtureSettings(GateSettings(kind=kind, k=2)))).float()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expert_BEH, gate_BGE = level(rows(30, 5).float())
        h_BGH = mix(gate_BGE, expert_BEH)
    torch.testing.assert_close(gate_BGE.sum(dim=-1), torch.ones(30, 2), rtol=0, atol=1e-6)
    assert torch.isfinite(h_BGH).all()


def test_alike_groups_are_one_bank():
    def banks(groups, own, sees=SEES, gate_inputs=None):
        level = Mixture(5, [Group(n, h) for n, h in groups], sees, PLAIN, own, gate_inputs)
        return [(bank.side_by_side, bank.experts, bank.hidden) for bank in level.banks], level.readers

    alike = [(2, (6,)), (2, (6,)), (2, (6,))]
    assert banks(alike, own=False) == ([(1, 6, (6,))], [[0, 1, 2]])
    assert banks(alike, own=True) == ([(2, 2, (6,)), (1, 2, (6,))], [[0, 1], [2]]), "the third gate sees more experts"
    assert banks(alike, own=True, gate_inputs=3) == ([(3, 2, (6,))], [[0, 1, 2]])
    assert banks([(2, (6,)), (2, (4, 6)), (2, (6,))], own=False)[1] == [[0], [1], [2]]
    assert banks([(1, (6,)), (3, (6,)), (2, (6,))], own=True)[1] == [[0], [1], [2]]
    assert banks([(0, (6,)), (1, (6,))], own=True, sees=[(0,), (0,)]) == ([(1, 1, (6,))], [[1]]), "nothing to learn, no bank"


def test_a_group_without_experts_keeps_its_gate():
    level = Mixture(5, [Group(0, (6,)), Group(3, (6,))], [range(3), range(3)], own_inputs=True)
    assert count(level) == 5 * 3 + (5 * (3 * 6 + 3) + 18)


def test_experts_that_cannot_be_mixed():
    with pytest.raises(InputError, match=r"experts of one level must end in the same width.*found \[4, 6\]"):
        Mixture(5, [Group(1, (6,)), Group(1, (6, 4))], [(0, 1)])
    with pytest.raises(InputError, match=r"a level has no expert\. Give it at least one"):
        Mixture(5, [Group(0, (6,))], [()])
    Mixture(5, [Group(0, (4,)), Group(1, (6,))], [(0,)])
