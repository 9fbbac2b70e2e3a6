"""Where the tasks' gradients are read, and what their inner products are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.architecture import find_architecture
from manygate.config.names import ARCHITECTURES


def read(run, rows: int = 24):
    """The Gramian that a trainer's step on its first rows finds, and the representation at which."""
    batch = run.train.take(torch.arange(rows))
    drawn = run.model.draw(len(batch), 0)
    gramian_MTT = run._losses(batch, drawn, reads=True)[3]
    return gramian_MTT, run.model.forward(batch, drawn, shared=True)[2], batch


def test_of_a_shared_bottom_by_hand(encoded, trainer, settings):
    """Without hidden layers in towers: a row's gradient is weight (p - y) / (sum of weights) times its tower's weights."""
    run = trainer(encoded(), settings(architecture="shared_bottom", tower_hidden=(), bottom_hidden=(5,)))
    found, shared, batch = read(run)
    tower_TK = run.model.parameters["trunk.towers.weight"][0].detach().double().numpy()
    bias_T = run.model.parameters["trunk.towers.bias"][0].detach().double().numpy()
    z_BK = shared.detach().double().numpy().reshape(24, 5)
    output_BT = z_BK @ tower_TK.T + bias_T
    bias_BC = run.model.bias_embedding(run.model._tables("bias_embedding"), batch.for_members(1), 1, False)[0]
    output_BT += (bias_BC @ run.model.parameters["trunk.bias_tower.weight"][0]).detach().double().numpy()
    label_BT, weight_BT = batch.label_BT.double().numpy(), batch.weight_BT.double().numpy()
    slope_BT = np.empty((24, 3))
    for t, task in enumerate(run.tasks):
        of = (lambda z: 1 / (1 + np.exp(-z))) if task.kind == "binary" else (lambda z: z)
        factor = 1 if task.kind == "binary" else 2
        slope_BT[:, t] = factor * weight_BT[:, t] * (of(output_BT[:, t]) - label_BT[:, t]) / weight_BT[:, t].sum()
    expected = (slope_BT.T @ slope_BT) * (tower_TK @ tower_TK.T)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    "architecture",
    [name for name in ARCHITECTURES if not find_architecture(name).one_model_per_task],
)
def test_replicas_read_what_each_reads_alone(encoded, trainer, settings, architecture):
    log = encoded()
    together = trainer(log, settings(architecture=architecture, replicas=3))
    found, *_ = read(together)
    assert found.shape == (3, 3, 3)
    assert bool((found.diagonal(dim1=1, dim2=2) > 0).any(dim=0).all()), "a small tower may be dead"
    for r in range(3):
        alone, *_ = read(trainer(log, settings(architecture=architecture, seed=together.config.seed_of(r))))
        torch.testing.assert_close(found[r], alone[0], rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("architecture", ["mmoe", "l2_constrained"])
def test_members_left_out_have_zeros(encoded, trainer, settings, architecture):
    run = trainer(encoded(), settings(architecture=architecture, replicas=3))
    whole, *_ = read(run)
    run.state.stopped[1] = True
    found, *_ = read(run)
    assert found[1].abs().sum() == 0
    torch.testing.assert_close(found[[0, 2]], whole[[0, 2]], rtol=1e-4, atol=1e-9)


def test_lower_layers_are_what_a_scheme_without_shared_units_shares(encoded, trainer, settings):
    run = trainer(encoded(), settings(architecture="l2_constrained", lower_hidden=(7, 5)))
    gramian_MTT, shared, _ = read(run)
    assert shared.shape == (24, 1, 5)
    assert gramian_MTT.shape == (1, 3, 3)
    assert (gramian_MTT.diagonal(dim1=1, dim2=2) > 0).all()
