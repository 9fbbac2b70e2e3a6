"""One replica on all rows: logits, gates and zeros against the model itself, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from manygate.architecture import MMoE
from manygate.data.batches import Split
from manygate.inspection import survey as survey_module
from manygate.inspection.survey import (
    Level,
    Survey,
    _first_expert,
    _owner,
    _same,
    _seen_experts,
    experts_report,
    gates_report,
    layer_name,
    layers_report,
    survey,
    towers_report,
)
from manygate.layers.experts import Experts
from manygate.layers.gate import Gates
from manygate.layers.mixture import Mixture
from manygate.model.member import Activations

TASKS = ("click", "like", "watch")


@pytest.mark.parametrize("architecture", ["single_task", "shared_bottom", "mmoe", "ple", "stem"])
def test_a_survey_in_slices_is_that_of_the_whole(encoded, trainer, settings, monkeypatch, architecture):
    """Slices of 64 rows: logits and gates are the model's, and no row is left out or counted twice."""
    log = encoded()
    model, rows = trainer(log, settings(architecture=architecture, replicas=2)).model, log.parts["train"]
    split = Split(rows)
    batch = split.take(torch.arange(len(rows)))
    logit_RBT, gates = model.logits(batch).detach(), model.gates(batch)
    monkeypatch.setattr(survey_module, "ROWS_AT_ONCE", 64)
    for m, member in enumerate(model.members):
        seen = survey(model, m, split)
        assert seen.tasks == tuple(TASKS[t] for t in member.tasks)
        expected_NT = logit_RBT[member.replica][:, list(member.tasks)].numpy()
        np.testing.assert_allclose(seen.logit_NT, expected_NT, rtol=1e-4, atol=1e-5)
        for level, gate_MNTE in zip(seen.levels, gates, strict=True):
            np.testing.assert_allclose(level.gate_NTE, gate_MNTE[m].detach().numpy(), rtol=1e-4, atol=1e-5)


def test_shares_of_zeros_are_counted_in_a_loop(encoded, trainer, settings, monkeypatch):
    """The one hidden layer of the bottom: relu(x W + b), unit by unit."""
    log = encoded()
    model = trainer(log, settings(architecture="shared_bottom", bottom_hidden=(5,))).model
    split = Split(log.parts["valid"])
    batch = split.take(torch.arange(len(split)))
    x_BD = model.embedding(model._tables("embedding"), batch, 1, model.sparse)[0].detach().double().numpy()
    banks = {name: value[0].detach().double().numpy() for name, value in model.parameters.items() if "architecture" in name}
    (weight,) = (value for name, value in banks.items() if name.endswith("weight"))
    (bias,) = (value for name, value in banks.items() if name.endswith("bias"))
    hidden_BH = x_BD @ weight.reshape(x_BD.shape[1], 5) + bias.reshape(5)
    expected = [sum(hidden <= 0 for hidden in hidden_BH[:, unit]) / len(split) for unit in range(5)]
    monkeypatch.setattr(survey_module, "ROWS_AT_ONCE", 7)
    seen = survey(model, 0, split)
    (zero_EH,) = (zero for name, zero in seen.zeros.items() if name.startswith("architecture"))
    np.testing.assert_allclose(zero_EH, [expected], atol=1e-6)


def test_every_so_many_rows_of_the_experts_are_kept(encoded, trainer, settings, monkeypatch):
    log = encoded()
    model, split = trainer(log, settings(architecture="mmoe")).model, Split(log.parts["train"])
    (whole,) = survey(model, 0, split).experts.values()
    assert whole.shape == (len(split), 3, 5)
    monkeypatch.setattr(survey_module, "EXPERT_ROWS", 50)
    (few,) = survey(model, 0, split).experts.values()
    stride = -(-len(split) // 50)
    assert torch.equal(few, whole[::stride])


def gates(seed: int, groups: int = 2, rows: int = 4) -> torch.Tensor:
    return torch.rand(rows, groups, 3, generator=torch.Generator().manual_seed(seed)).softmax(dim=-1)


def test_the_same_gates_are_found_among_a_level_s():
    gate_BGE = gates(0, 3)
    assert _same(gate_BGE, gate_BGE)
    assert _same(gate_BGE, gate_BGE[:, :2]), "the third gate is of the shared experts"
    assert not _same(gate_BGE, gate_BGE[:, 1:]), "tasks come first"
    assert _same(gate_BGE[:, :1], gate_BGE[:, :1].expand(-1, 3, -1)), "a single gate for all tasks"
    assert not _same(gate_BGE, gate_BGE[:, :, :2])
    assert not _same(gate_BGE[:, :2], gate_BGE)


class TwoLevels(nn.Module):
    """A trunk of two mixtures, of which the gates of the first are not the same as those of the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = MMoE(4, 2, 3, (5,)), MMoE(4, 2, 3, (5,))
        self.towers, self.lower = nn.Linear(5, 1), Experts(4, 1, (3,))


def test_the_experts_that_a_gate_sees_are_those_of_its_level():
    trunk = TwoLevels()
    trunk.first.level.gates.sees = ((0, 1), (1, 2))
    seen = Activations(gate={"first.level.gates": gates(0), "second.level.gates": gates(1)})
    assert isinstance(trunk.first.level.gates, Gates)
    assert _seen_experts(trunk, [gates(1), gates(0)], seen) == [
        ("second.level", [(0, 1, 2), (0, 1, 2)]),
        ("first.level", [(0, 1), (1, 2)]),
    ]


def test_gates_of_another_kind_see_the_experts_that_get_weight():
    gate_BTE = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0], [0.0, 0.25, 0.75]]])
    assert _seen_experts(TwoLevels(), [gate_BTE], Activations()) == [("level 1", [(0, 1), (1, 2)])]


def test_layers_are_named_after_their_level_or_their_path():
    trunk = TwoLevels()
    assert isinstance(trunk.first.level, Mixture)
    assert layer_name(trunk, "first.level.banks.0") == "level 1"
    assert layer_name(trunk, "second.level") == "level 2"
    assert layer_name(trunk, "second.levels") == "second.levels", "a prefix of whole names alone"
    assert layer_name(trunk, "towers.hidden") == "towers"
    assert layer_name(trunk, "lower.dropout") == "shared layers below"
    assert layer_name(trunk, "architecture.bottom.0") == "bottom.0"
    del trunk.second
    assert layer_name(trunk, "first.level.banks.0") == "experts"


def test_layers_of_a_network_are_counted_together():
    assert _owner("architecture.level.banks.0.dropout") == "architecture.level.banks.0"
    assert _owner("architecture.level.banks.0.deeper.dropouts.1") == "architecture.level.banks.0"
    assert _owner("towers.hidden.dropouts.0") == "towers.hidden"


def test_experts_count_on_from_one_bank_to_the_next(encoded, trainer, settings):
    """PLE of three tasks: banks of two experts for each task and two shared ones."""
    log = encoded()
    model = trainer(log, settings(architecture="ple", task_experts=2, experts=2, expert_hidden=(5,), levels=1)).model
    modules = dict(model.trunk.named_modules())
    banks = sorted({name.rpartition(".")[2] for name in modules if name.rpartition(".")[0].endswith(".banks")})
    prefix = next(name for name in modules if name.endswith(".banks"))
    sizes = [modules[f"{prefix}.{bank}"] for bank in banks]
    expected = [sum(bank.side_by_side * bank.experts for bank in sizes[:place]) for place in range(len(sizes))]
    assert [_first_expert(modules, f"{prefix}.{bank}.dropout") for bank in banks] == expected
    assert _first_expert(modules, "towers.hidden.dropouts.0") is None


def test_networks_are_named_and_their_layers_numbered(encoded, trainer, settings):
    log = encoded()
    model = trainer(log, settings(architecture="mmoe", expert_hidden=(6, 5))).model
    report = layers_report(model, survey(model, 0, Split(log.parts["valid"])))
    shown = [(entry.part, entry.layer, [one.name for one in entry.networks]) for entry in report]
    experts = [f"expert {e}" for e in (1, 2, 3)]
    assert shown == [("experts", 1, experts), ("experts", 2, experts), ("towers", 1, [f"tower of {task}" for task in TASKS])]


def test_a_level_whose_gates_have_no_choice_is_left_out():
    gate_NTE = np.array([[[1.0, 0.0]], [[1.0, 0.0]]])
    seen = Survey(("a",), np.zeros((2, 1)), [Level("level 1", gate_NTE, [(0,)]), Level("level 2", gate_NTE, [(0, 1)])], {})
    assert [level for level, _ in gates_report(seen, np.ones((2, 1)))] == ["level 2"]


def test_a_tower_is_dead_by_the_zeros_of_its_layers():
    logit_NT = np.array([[0.0, 1.0], [1.0, 2.0]])
    zeros = {"towers.hidden.dropouts.0": np.array([[0.5, 1.0], [1.0, 1.0]]), "architecture.level": np.ones((2, 2))}
    assert [tower.task for tower in towers_report(Survey(("a", "b"), logit_NT, [], zeros))] == ["b"]


def test_likeness_is_reported_for_each_level(encoded, trainer, settings):
    log = encoded()
    model = trainer(log, settings(architecture="mmoe")).model
    ((level, entry),) = experts_report(model, survey(model, 0, Split(log.parts["valid"])))
    assert level == "experts"
    assert np.array(entry.cka).shape == (3, 3)
