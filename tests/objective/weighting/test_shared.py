"""Tests of the shared representation and of the inner products of the tasks' gradients there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.architecture import find_architecture
from manygate.config.names import ARCHITECTURES


def gramian_of_first_rows(run, rows: int = 24):
    """Return the Gramian of a trainer's step on its first rows, the shared representation and the batch."""
    batch = run.train.take(torch.arange(rows))
    drawn = run.model.draw(len(batch), 0)
    gramian_MTT = run.forward(batch, drawn, tuple(run._left_out()), "gramian").gramian_MTT
    return gramian_MTT, run.model.forward(batch, drawn, shared=True)[2], batch


def test_the_gramian_of_a_shared_bottom_by_hand(encoded, trainer, settings):
    """If towers have no hidden layers, the gradient of a row is weight (p - y) / (sum of weights) times the tower's weights."""
    run = trainer(encoded(), settings(architecture="shared_bottom", tower_hidden=(), bottom_hidden=(5,)))
    gramian_MTT, shared, batch = gramian_of_first_rows(run)
    tower_TK = run.model.parameters["trunk.towers.weight"][0].detach().double().numpy()
    bias_T = run.model.parameters["trunk.towers.bias"][0].detach().double().numpy()
    z_BK = shared.detach().double().numpy().reshape(24, 5)
    output_BT = z_BK @ tower_TK.T + bias_T
    bias_BC = run.model.bias_embedding(run.model._tables("bias_embedding"), batch.for_members(1), 1, False)[0]
    output_BT += (bias_BC @ run.model.parameters["trunk.bias_tower.weight"][0]).detach().double().numpy()
    label_BT, weight_BT = batch.label_BT.double().numpy(), batch.weight_BT.double().numpy()
    slope_BT = np.empty((24, 3))
    for t, task in enumerate(run.tasks):
        predict = (lambda z: 1 / (1 + np.exp(-z))) if task.kind == "binary" else (lambda z: z)
        factor = 1 if task.kind == "binary" else 2
        slope_BT[:, t] = factor * weight_BT[:, t] * (predict(output_BT[:, t]) - label_BT[:, t]) / weight_BT[:, t].sum()
    expected = (slope_BT.T @ slope_BT) * (tower_TK @ tower_TK.T)
    np.testing.assert_allclose(gramian_MTT[0].numpy(), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    "architecture",
    [name for name in ARCHITECTURES if not find_architecture(name).one_model_per_task],
)
def test_replicas_have_the_gramians_that_each_has_alone(encoded, trainer, settings, architecture):
    log = encoded()
    together = trainer(log, settings(architecture=architecture, replicas=3))
    gramian_MTT, *_ = gramian_of_first_rows(together)
    assert gramian_MTT.shape == (3, 3, 3)
    diagonal_MT = gramian_MTT.diagonal(dim1=1, dim2=2)
    assert bool((diagonal_MT > 0).any(dim=0).all()), "one small tower may be dead, so one replica with a gradient is enough"
    for r in range(3):
        alone, *_ = gramian_of_first_rows(trainer(log, settings(architecture=architecture, seed=together.config.seed_of(r))))
        torch.testing.assert_close(gramian_MTT[r], alone[0], rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("architecture", ["mmoe", "l2_constrained"])
def test_members_left_out_have_zeros(encoded, trainer, settings, architecture):
    run = trainer(encoded(), settings(architecture=architecture, replicas=3))
    whole, *_ = gramian_of_first_rows(run)
    run.state.stopped[1] = True
    gramian_MTT, *_ = gramian_of_first_rows(run)
    assert gramian_MTT[1].abs().sum() == 0
    torch.testing.assert_close(gramian_MTT[[0, 2]], whole[[0, 2]], rtol=1e-4, atol=1e-9)


def test_a_scheme_without_shared_units_shares_its_lower_layers(encoded, trainer, settings):
    run = trainer(encoded(), settings(architecture="l2_constrained", lower_hidden=(7, 5)))
    gramian_MTT, shared, _ = gramian_of_first_rows(run)
    assert shared.shape == (24, 1, 5)
    assert gramian_MTT.shape == (1, 3, 3)
    assert (gramian_MTT.diagonal(dim1=1, dim2=2) > 0).all()
