"""Schemes that are the same for some setting train to the same weights."""

from __future__ import annotations

import pytest
import torch

from manygate.architecture import CrossStitch, L2Constrained, SingleTask, SluiceNetwork
from manygate.layers.tower import BiasTower, Towers
from manygate.model.trunk import Trunk
from numpy_reading import rows, shaken

INPUTS, TASKS, STEPS = 5, 3, 60


def trained(model: Trunk, label: torch.Tensor, frozen: tuple[str, ...] = ()) -> Trunk:
    learn = [p for name, p in model.named_parameters() if not name.endswith(frozen)] if frozen else list(model.parameters())
    optimizer = torch.optim.Adam(learn, 0.02)
    for step in range(STEPS):
        part = slice(8 * (step % 5), 8 * (step % 5) + 8)
        optimizer.zero_grad()
        logit_BT, penalty = model(rows(40, INPUTS)[part], torch.zeros(8, 0, dtype=torch.float64))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit_BT, label[part], reduction="none")
        (loss.mean(dim=0).sum() + penalty).backward()
        optimizer.step()
    return model


def trunk(scheme: torch.nn.Module, tasks: int = TASKS) -> Trunk:
    return shaken(Trunk(scheme, Towers(tasks, 6, (4,)), BiasTower(tasks, 0)))


def layers(model: Trunk) -> list[torch.Tensor]:
    """Every layer's weights and biases, as stacks over tasks."""
    scheme, tasks = model.architecture, len(model.towers.bias)
    first = (
        scheme.bottom if isinstance(scheme, SingleTask) else scheme.bottoms if isinstance(scheme, L2Constrained) else scheme.first
    )
    later = list(first.deeper.parameters()) if isinstance(scheme, SingleTask | L2Constrained) else list(scheme.later.parameters())
    return [
        first.weight.unflatten(1, (tasks, 6)).transpose(0, 1),
        first.bias.unflatten(0, (tasks, 6)),
        *later,
        *model.towers.parameters(),
    ]


def alike(model: Trunk, other: Trunk, tasks: slice = slice(None)) -> None:
    """Give a model the other's weights (of some tasks)."""
    with torch.no_grad():
        for target, source in zip(layers(model), layers(other), strict=True):
            target.copy_(source[tasks])


@pytest.fixture(scope="module")
def label() -> torch.Tensor:
    return (rows(40, TASKS, seed=2) > 0).double()


@pytest.fixture(scope="module")
def start() -> Trunk:
    return trunk(L2Constrained(INPUTS, TASKS, (6, 6), alpha=0.0))


@pytest.fixture(scope="module")
def l2(start, label) -> Trunk:
    model = trunk(L2Constrained(INPUTS, TASKS, (6, 6), alpha=0.0))
    alike(model, start)
    return trained(model, label)


def equal(model: Trunk, other: Trunk, tasks: slice = slice(None)) -> None:
    for found, expected in zip(layers(model), layers(other), strict=True):
        torch.testing.assert_close(found, expected[tasks], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("stitched", [True, False], ids=["cross_stitch", "sluice_network"])
def test_with_frozen_identity_stitches_it_is_l2_with_alpha_0(start, l2, label, stitched):
    scheme = CrossStitch(INPUTS, TASKS, (6, 6)) if stitched else SluiceNetwork(INPUTS, TASKS, (6, 6), 2)
    model = trunk(scheme)
    alike(model, start)
    with torch.no_grad():
        if stitched:
            scheme.stitch.copy_(torch.eye(TASKS).expand(2, -1, -1))
        else:
            scheme.alpha.copy_(torch.eye(2 * TASKS).expand(2, -1, -1))
            scheme.beta.copy_(torch.tensor([0.0, 1.0]).expand(TASKS, -1))
    equal(trained(model, label, frozen=("stitch", "alpha", "beta")), l2)
    assert not torch.allclose(layers(l2)[0], layers(start)[0], atol=0.05), "training has moved the weights"


@pytest.mark.parametrize("t", range(TASKS))
def test_single_task_is_l2_with_alpha_0(start, l2, label, t):
    model = trunk(SingleTask(INPUTS, (6, 6)), tasks=1)
    alike(model, start, slice(t, t + 1))
    equal(trained(model, label[:, t : t + 1]), l2, slice(t, t + 1))


def test_stitches_that_mix_or_a_penalty_train_other_weights(start, l2, label):
    for scheme in (CrossStitch(INPUTS, TASKS, (6, 6)), L2Constrained(INPUTS, TASKS, (6, 6), alpha=0.1)):
        model = trunk(scheme)
        alike(model, start)
        with pytest.raises(AssertionError):
            equal(trained(model, label), l2)
