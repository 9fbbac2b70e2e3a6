"""Customized sharing: a task joins its own bottom and the shared one."""

from __future__ import annotations

import numpy as np
import pytest

from manygate.architecture import CustomizedSharing, Inputs
from manygate.config import ModelConfig
from numpy_reading import agree, nets, rows, shaken

deep = pytest.mark.parametrize("hidden", [(6,), (6, 4, 3)], ids=["one layer", "three layers"])
some_tasks = pytest.mark.parametrize("tasks", [1, 2, 3])
FUSE = {"sum": lambda parts: np.sum(parts, axis=0), "mean": lambda parts: np.mean(parts, axis=0), "concat": np.concatenate}


@deep
@some_tasks
@pytest.mark.parametrize("fusion", ["concat", "sum", "mean"])
def test_customized_sharing_joins_its_own_bottom_and_the_shared_one(hidden, tasks, fusion):
    model = shaken(CustomizedSharing(5, tasks, hidden, fusion))
    x_BD = rows(8, 5)
    assert model.output_width == model(x_BD).shape[-1]
    for b, x in enumerate(x_BD.numpy()):
        *own, shared = (net(x) for net in nets(model.bottoms))
        agree(model(x_BD)[b], [FUSE[fusion]([f, shared]) for f in own])


def test_customized_sharing_trains_its_own_bottom_and_the_shared_one():
    model = shaken(CustomizedSharing(5, 3, (6,)))
    for t in range(3):
        model.zero_grad()
        model(rows(30, 5))[:, t].sum().backward()
        parts = model.bottoms.weight.grad.view(5, 4, 6)
        assert [bool((parts[:, j] != 0).any()) for j in range(4)] == [j in (t, 3) for j in range(4)]


def test_the_default_fusion_of_customized_sharing_is_concat():
    assert CustomizedSharing.build(Inputs(5), 2, ModelConfig(bottom_hidden=(6,))).output_width == 12
