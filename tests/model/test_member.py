"""Tests of one member at a time: It has the same logits as among all members. Every layer is recorded. No hooks remain."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from manygate.config.names import ARCHITECTURES
from manygate.inspection.pulls import shared_layers
from manygate.inspection.survey import experts_report, gates_report, layers_report, survey
from manygate.layers.experts import Experts
from manygate.model import MultiTaskModel
from manygate.model.member import first_replicas, mean_gates, member_values, read_inputs, record_activations, run_trunk
from manygate.model.problem import Problem

TASKS = 3


@pytest.fixture
def model(request, toy_inputs, settings):
    return MultiTaskModel(
        Problem.binary(toy_inputs(), TASKS), settings(architecture=request.param, replicas=2, expert_hidden=(6, 5))
    )


def run_and_record(model, batch, m):
    values = member_values(model, m)
    with torch.no_grad(), record_activations(model.trunk) as take:
        logit_BT = run_trunk(model, values, *read_inputs(model, values, batch))[0]
        return logit_BT, take()


@pytest.mark.parametrize("model", sorted(ARCHITECTURES), indirect=True)
def test_a_member_alone_gives_what_it_gives_among_the_others(model, toy_inputs, toy_batch):
    batch = toy_batch(toy_inputs(), 40, TASKS)
    together = model.logits(batch)
    for m, member in enumerate(model.members):
        logit_BT, activations = run_and_record(model, batch, m)
        torch.testing.assert_close(logit_BT, together[member.replica][:, list(member.tasks)], atol=1e-5, rtol=1e-5)
        assert "towers.hidden.dropouts.0" in activations.hidden
        assert all(hidden.ndim == 3 and len(hidden) == 40 for hidden in activations.hidden.values())
    torch.testing.assert_close(model.logits(batch), together, atol=0, rtol=0, msg="no hook remains")


@pytest.mark.parametrize("model", sorted(ARCHITECTURES), indirect=True)
def test_every_scheme_can_be_surveyed(model, toy_inputs, toy_batch):
    batch = toy_batch(toy_inputs(), 40, TASKS)
    rows = Whole(batch)
    result = survey(model, 0, rows)
    layers = layers_report(model, result)
    assert {layer.part for layer in layers} > {"towers"}, "the networks under the towers are missing"
    names = [network.name for layer in layers if layer.part == "towers" for network in layer.networks]
    assert names == [f"tower of {task}" for task in result.tasks]
    gates = gates_report(result, batch.weight_BT[:, list(model.members[0].tasks)].numpy())
    assert [len(level.gate_NTE) for level in result.levels] == [40] * len(model.gates(batch))
    for level, expected in zip(result.levels, model.gates(batch), strict=True):
        torch.testing.assert_close(torch.from_numpy(level.gate_NTE), expected[0], atol=1e-5, rtol=1e-5)
    for _, entry in gates:
        for use in entry.tasks:
            assert sum(use.mean) == pytest.approx(1.0, abs=1e-5)
            assert all(use.mean[e] == 0 for e in range(entry.experts) if e not in use.sees)
    for _, entry in experts_report(model, result):
        assert len(entry.cka) == len(entry.scale) > 1
    covered = [name for names in shared_layers(model).values() for name in names]
    assert len(covered) == len(set(covered))
    assert set(covered) <= set(model.parameters)


class Whole:
    """A split of one batch."""

    def __init__(self, batch):
        self.batch, self.device = batch, torch.device("cpu")

    def __len__(self):
        return len(self.batch)

    def slices(self, size):
        yield self.batch


@pytest.mark.parametrize("model", ["ple"], indirect=True)
def test_the_numbers_of_experts_of_ple_are_those_of_its_gates(model, toy_inputs, toy_batch):
    batch = toy_batch(toy_inputs(), 40, TASKS)
    values = member_values(model, 0)
    with torch.no_grad(), record_activations(model.trunk) as take:
        run_trunk(model, values, *read_inputs(model, values, batch))
        activations = take()
    layers = layers_report(model, survey(model, 0, Whole(batch)))
    for level in (0, 1):
        expert_BEH = activations.expert[f"architecture.levels.{level}"]
        shown = [n for layer in layers if layer.part == f"level {level + 1}" and layer.layer == 2 for n in layer.networks]
        assert sorted(network.name for network in shown) == sorted(f"expert {e + 1}" for e in range(expert_BEH.shape[1]))
        for network in shown:
            e = int(network.name.split()[1]) - 1
            assert network.zeros == pytest.approx(float((expert_BEH[:, e] == 0).double().mean()))


@pytest.mark.parametrize("model", ["mmoe"], indirect=True)
def test_an_expert_that_sparse_gates_did_not_select_is_recorded_too(model, toy_inputs, toy_batch, settings):
    sparse = MultiTaskModel(Problem.binary(toy_inputs(), TASKS), settings(gate="topk", top_k=1, expert_hidden=(6,)))
    for parameter in sparse.parameters.values():
        parameter.data.abs_()
    _, activations = run_and_record(sparse, toy_batch(toy_inputs(), 40, TASKS), 0)
    (expert_BEH,) = activations.expert.values()
    assert (expert_BEH > 0).any(dim=0).any(dim=-1).all(), "each expert ran, though the gates chose the first for every row"


@pytest.mark.parametrize("model", ["mmoe", "ple", "omoe"], indirect=True)
def test_mean_gates_are_over_each_tasks_own_rows(model, toy_inputs, toy_batch):
    batch = toy_batch(toy_inputs(), 40, TASKS)
    for level, gate_RBTE in zip(mean_gates(model, batch), model.gates(batch), strict=True):
        for t in range(TASKS):
            task_mean = gate_RBTE[0, batch.weight_BT[:, t] > 0, t].mean(dim=0)
            assert level[t] == pytest.approx(task_mean.tolist(), abs=2e-5)


@pytest.mark.parametrize("model", ["shared_bottom"], indirect=True)
def test_a_scheme_without_gates_has_no_mean_gates(model, toy_inputs, toy_batch):
    assert mean_gates(model, toy_batch(toy_inputs(), 8, TASKS)) == []


@pytest.mark.parametrize("model", ["ple", "single_task", "stem"], indirect=True)
def test_the_first_replicas_alone_give_what_they_give_among_the_others(model, toy_inputs, toy_batch):
    batch = toy_batch(toy_inputs(), 20, TASKS)
    first = first_replicas(model, 1)
    assert first.replicas == 1
    torch.testing.assert_close(first.logits(batch), model.logits(batch)[:1], atol=1e-5, rtol=1e-5)
    assert first_replicas(model, 2) is first_replicas(model, 9) is model


def test_hooks_are_removed_even_after_an_error():
    trunk = nn.Sequential(Experts(4, 2, (3,)), nn.ReLU())
    with pytest.raises(ZeroDivisionError), record_activations(trunk):
        _ = 1 / 0
    assert not any(module._forward_hooks for module in trunk.modules())


def test_a_users_own_relu_is_recorded():
    trunk = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    with torch.no_grad(), record_activations(trunk) as take:
        trunk(torch.ones(5, 4))
        assert take().hidden["1"].shape == (5, 1, 3)
        assert take().hidden == {}, "the activations of a pass are returned once"
