"""Conflict and affinity: by hand on vectors, and on a model against plain autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.data.batches import Split
from manygate.inspection.pulls import (
    X,
    affinity_report,
    common_cosine,
    conflict_report,
    gradient_batches,
    layer_cosines,
    look_ahead,
    losses,
    losses_of,
    pulls_report,
    shared_layers,
    task_gradients,
)
from manygate.model import MultiTaskModel
from manygate.model.member import member_values, read_inputs
from manygate.model.problem import Problem
from manygate.schema import Task

NAMES = ("click", "like", "watch")


def test_cosine_by_hand():
    assert common_cosine(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0])) == pytest.approx(24 / 25)
    assert common_cosine(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])) is None, "nothing in common"
    assert common_cosine(torch.tensor([1.0, 9.0]), torch.tensor([-2.0, 0.0])) == pytest.approx(-1.0), (
        "what one alone moves is no matter"
    )


def test_conflict_is_summed_up_over_batches_and_replicas():
    found = conflict_report({("level 1", 0, 2): [[-0.5, 0.1], [-0.3, -0.1]], ("x", 0, 1): [[], []]}, NAMES)
    (one,) = found
    assert one.tasks == ["click", "watch"]
    assert one.mean == pytest.approx(-0.2)
    assert one.below_zero == 0.75
    assert one.by_replica == pytest.approx([-0.2, -0.2])
    assert one.se == pytest.approx(np.std([-0.5, 0.1, -0.3, -0.1], ddof=1) / 2)


def test_affinity_is_summed_up_without_what_is_undefined():
    value = np.array([[[0.1, np.nan], [0.0, 0.2]], [[0.3, np.nan], [0.2, 0.4]]])
    found = {(one.of, one.on): one for one in affinity_report(value, ["a", "b"])}
    assert found["a", "a"].mean == pytest.approx(0.2)
    assert found["a", "a"].se == pytest.approx(0.1)
    assert ("a", "b") not in found


@pytest.fixture(scope="module")
def log(encoded):
    return encoded()


def model_of(log, settings, **changes) -> MultiTaskModel:
    config = settings(**changes)
    return MultiTaskModel(Problem.of(log.encoder, config), config)


@pytest.mark.parametrize("architecture", ["mmoe", "ple", "shared_bottom", "cross_stitch", "stem"])
@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_those_of_each_tasks_own_loss(log, settings, architecture, sparse):
    model = model_of(log, settings, architecture=architecture, sparse_gradients=sparse)
    split, layers, by = Split(log.parts["valid"]), shared_layers(model), losses_of(model)
    values = member_values(model, 0)
    batch = split.take(torch.arange(40))
    gradients, loss_T = task_gradients(model, values, batch, layers, by)
    for t in range(3):
        leaves = {name: value.clone().requires_grad_() for name, value in values.items()}
        loss = losses(model, leaves, batch, *read_inputs(model, leaves, batch), by)[t]
        assert loss.item() == pytest.approx(float(loss_T[t]))
        loss.backward()
        for names in layers.values():
            for name in names:
                own = leaves[name].grad
                expected = torch.zeros_like(values[name]) if own is None else own.to_dense()
                torch.testing.assert_close(gradients[name][t].to_dense(), expected, atol=1e-6, rtol=1e-4)


def test_sparse_gradients_give_the_same_cosines_and_affinity(log, settings):
    split = Split(log.parts["valid"])
    batch = split.take(torch.arange(60))
    found = []
    for sparse in (False, True):
        model = model_of(log, settings, sparse_gradients=sparse)
        layers, values, by = shared_layers(model), member_values(model, 0), losses_of(model)
        gradients, loss_T = task_gradients(model, values, batch, layers, by)
        cosines = layer_cosines(gradients, layers, 3)
        found.append((cosines, look_ahead(model, values, batch, layers, gradients, loss_T, by)))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)


def test_two_copies_of_a_task_agree_and_opposites_pull_apart(log, settings):
    """Under a shared bottom: the same head and labels give the same gradient, the opposite head the opposite one."""
    model = model_of(log, settings, architecture="shared_bottom", tower_hidden=())
    with torch.no_grad():
        head, bias = model.parameters["trunk.towers.weight"], model.parameters["trunk.towers.bias"]
        head[0, 0] *= 1e-3  # all logits near 0, so that only the heads' signs differ
        head[0, 1], head[0, 2] = head[0, 0], -head[0, 0]
        bias[:] = 0.0
        model.parameters["trunk.bias_tower.weight"].zero_()
    rows = log.parts["valid"]
    same = rows.label_BT[:, :1].repeat(3, axis=1)
    rows = type(rows)(rows.id_BS, rows.number_BM, rows.bags, same, np.ones_like(same), None)
    model.problem = Problem.unscaled(model.problem.inputs, [Task(name=name) for name in NAMES])  # all three are binary
    report = pulls_report(model, Split(rows))
    cosine = {(one.layer, tuple(one.tasks)): one.mean for one in report.conflict}
    affinity = {(one.of, one.on): one.mean for one in report.affinity}
    for layer in (X, "embeddings", "bottom"):
        assert cosine[layer, ("click", "like")] == pytest.approx(1.0, abs=1e-5)
        assert cosine[layer, ("click", "watch")] == pytest.approx(-1.0, abs=0.01)
    assert affinity["click", "like"] == pytest.approx(affinity["click", "click"], rel=1e-3)
    assert affinity["click", "click"] > 0 > affinity["click", "watch"]


def test_a_step_for_one_task_moves_shared_parameters_alone_and_helps_it(log, settings):
    model = model_of(log, settings, architecture="mmoe")
    layers, values, by = shared_layers(model), member_values(model, 0), losses_of(model)
    assert not any("towers" in name for names in layers.values() for name in names)
    batch = Split(log.parts["valid"]).take(torch.arange(80))
    gradients, loss_T = task_gradients(model, values, batch, layers, by)
    affinity_TT = look_ahead(model, values, batch, layers, gradients, loss_T, by)
    assert (affinity_TT.diagonal() > 0).all()
    names = [name for layer in layers.values() for name in layer]
    norm = np.sqrt(sum(float(gradients[name][0].to_dense().square().sum()) for name in names))
    length = 0.001 * np.sqrt(sum(float(values[name].square().sum()) for name in names))
    expected = length * norm / float(loss_T[0])  # first order: |step| |gradient| / loss
    assert affinity_TT[0, 0] == pytest.approx(expected, rel=0.05)


def test_a_model_a_task_shares_nothing(log, settings):
    model = model_of(log, settings, architecture="single_task")
    assert pulls_report(model, Split(log.parts["valid"])) == ([], [])


def test_layers_come_in_the_order_of_the_forward_pass(log, settings):
    assert list(shared_layers(model_of(log, settings, architecture="ple"))) == ["embeddings", "level 1", "level 2"]
    assert list(shared_layers(model_of(log, settings, lower_hidden=(6,)))) == ["embeddings", "shared layers below", "experts"]
    below = list(shared_layers(model_of(log, settings, cross_layers=1, lower_hidden=(6,))))
    assert below == ["embeddings", "cross layers", "shared layers below", "experts"]
    assert list(shared_layers(model_of(log, settings, architecture="cross_stitch"))) == ["embeddings", "stitch", "first"]


def test_batches_spread_over_the_rows(log):
    split = Split(log.parts["valid"])
    batches = gradient_batches(split, 1024)
    assert len(batches) == 16
    assert sum(map(len, batches)) == len(split)
    assert [len(batch) for batch in gradient_batches(split, 3)] == [3] * 16
    few = Split(log.parts["valid"].where(np.arange(len(split)) < 5))
    assert [len(batch) for batch in gradient_batches(few, 1024)] == [3, 2]
