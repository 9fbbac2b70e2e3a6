"""Shared-Bottom is equation 1, Single-Task is one of it per task, and the simple ways to share join bottoms as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.architecture import AsymmetricSharing, CustomizedSharing, Inputs, SharedBottom, SingleTask
from manygate.architecture.shared_bottom import matched_bottom
from manygate.config import ModelConfig
from manygate.errors import InputError
from manygate.layers.tower import Towers
from numpy_reading import agree, nets, rows, shaken, tower

quick = settings(max_examples=50, deadline=None, derandomize=True)
widths = st.lists(st.integers(1, 64), min_size=1, max_size=3).map(tuple)
deep = pytest.mark.parametrize("hidden", [(6,), (6, 4, 3)], ids=["one layer", "three layers"])
some_tasks = pytest.mark.parametrize("tasks", [1, 2, 3])
FUSE = {"sum": lambda parts: np.sum(parts, axis=0), "mean": lambda parts: np.mean(parts, axis=0), "concat": np.concatenate}


@deep
@some_tasks
def test_shared_bottom_and_single_task_are_equation_1(hidden, tasks):
    """y_k = h_k(f(x)): every task's tower reads the one f."""
    model, single, towers = shaken(SharedBottom(5, hidden)), shaken(SingleTask(5, hidden)), shaken(Towers(tasks, hidden[-1], (3,)))
    x_BD = rows(8, 5)
    for b, x in enumerate(x_BD.numpy()):
        f = nets(model.bottom)[0](x)
        agree(model(x_BD)[b], [f])
        agree(towers(model(x_BD))[b], [tower(f, towers, t) for t in range(tasks)])
        agree(single(x_BD)[b], [nets(single.bottom)[0](x)])


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


def test_the_default_fusion_of_each():
    config = ModelConfig(bottom_hidden=(6,))
    assert AsymmetricSharing.build(Inputs(5), 2, config).fusion == "sum"
    assert CustomizedSharing.build(Inputs(5), 2, config).output_width == 12


def test_a_given_bottom_is_taken():
    config = ModelConfig(bottom_hidden=(7, 3))
    assert SharedBottom.build(Inputs(5), 2, config).output_width == 3
    assert SingleTask.build(Inputs(5), 2, config).bottom.hidden == (7, 3)


@quick
@given(inputs=st.integers(1, 300), tasks=st.integers(1, 6), experts=st.integers(1, 16), hidden=widths, tower=st.integers(1, 32))
def test_the_matched_bottom_has_about_as_many_weights(inputs, tasks, experts, hidden, tower):
    config = ModelConfig(experts=experts, expert_hidden=hidden, tower_hidden=(tower,))
    found = matched_bottom(inputs, tasks, config)

    def weights(chain: tuple[int, ...]) -> int:
        whole = (inputs, *chain)
        return sum(a * b for a, b in zip(whole[:-1], whole[1:], strict=True))

    budget = experts * weights(hidden) + tasks * hidden[-1] * tower
    smaller, larger = (tuple(max(w + d, 1) for w in found) for d in (-1, 1))
    assert len(found) == len(hidden)
    assert weights(smaller) + tasks * smaller[-1] * tower <= budget or max(found) == 1
    assert weights(larger) + tasks * larger[-1] * tower >= budget
    if experts == 1:
        assert found == hidden


def test_a_shared_bottom_is_one_and_single_tasks_are_many():
    assert SharedBottom(5, (6,)).shared_parameters()
    assert not SingleTask(5, (6,)).shared_parameters()
    assert SharedBottom(5, (6,))(rows(4, 5).float()).shape == (4, 1, 6), "one representation for both tasks"
