"""Asymmetric sharing: a task reads its own bottom and those of the tasks before it."""

from __future__ import annotations

import numpy as np
import pytest

from manygate.architecture import AsymmetricSharing, Inputs
from manygate.config import ModelConfig
from manygate.errors import InputError
from numpy_reading import agree, nets, rows, shaken

deep = pytest.mark.parametrize("hidden", [(6,), (6, 4, 3)], ids=["one layer", "three layers"])
some_tasks = pytest.mark.parametrize("tasks", [1, 2, 3])
FUSE = {"sum": lambda parts: np.sum(parts, axis=0), "mean": lambda parts: np.mean(parts, axis=0), "concat": np.concatenate}


@deep
@some_tasks
@pytest.mark.parametrize("fusion", ["sum", "mean"])
def test_asymmetric_sharing_reads_the_tasks_before(hidden, tasks, fusion):
    model = shaken(AsymmetricSharing(5, tasks, hidden, fusion=fusion))
    x_BD = rows(8, 5)
    for b, x in enumerate(x_BD.numpy()):
        f = [net(x) for net in nets(model.bottoms)]
        agree(model(x_BD)[b], [FUSE[fusion](f[: t + 1]) for t in range(tasks)])


def test_asymmetric_sharing_reads_what_it_is_told():
    reads = [(0, 2), (1,), (0, 1, 2)]
    model = shaken(AsymmetricSharing(5, 3, (6,), reads, "mean"))
    x_BD = rows(8, 5)
    for b, x in enumerate(x_BD.numpy()):
        f = [net(x) for net in nets(model.bottoms)]
        agree(model(x_BD)[b], [np.mean([f[j] for j in row], axis=0) for row in reads])


def test_asymmetric_sharing_trains_the_bottoms_that_a_task_reads():
    model = shaken(AsymmetricSharing(5, 3, (6,)))
    for t in range(3):
        model.zero_grad()
        model(rows(30, 5))[:, t].sum().backward()
        parts = model.bottoms.weight.grad.view(5, 3, 6)
        assert [bool((parts[:, j] != 0).any()) for j in range(3)] == [j <= t for j in range(3)]


@pytest.mark.parametrize("reads", [[(0,), (0,)], [(0, 1), ()], [(0, 1)], [(0, 2), (1,)], [(0, -1), (1,)]])
def test_asymmetric_sharing_names_reads_that_do_not_fit(reads):
    with pytest.raises(InputError, match=r"reads: each of 2 tasks reads at least one bottom, and each bottom is read; found"):
        AsymmetricSharing(5, 2, (6,), reads)


def test_asymmetric_sharing_does_not_concatenate():
    with pytest.raises(InputError, match=r"fusion: asymmetric_sharing takes sum or mean.*found concat"):
        AsymmetricSharing.build(Inputs(5), 2, ModelConfig(fusion="concat"))


def test_the_default_fusion_of_asymmetric_sharing_is_the_sum():
    assert AsymmetricSharing.build(Inputs(5), 2, ModelConfig(bottom_hidden=(6,))).fusion == "sum"
