"""Shared-Bottom is equation 1; Single-Task is one of it per task; the matched width is the paper's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import networks, perceptron

from manygate.architecture import SharedBottom, SingleTask
from manygate.architecture.shared_bottom import matched_bottom
from manygate.config import ModelConfig

quick = settings(max_examples=50, deadline=None, derandomize=True)
widths = st.lists(st.integers(1, 64), min_size=1, max_size=3).map(tuple)


@pytest.mark.parametrize("hidden", [(6,), (6, 4)])
@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_forward_is_equation_1(hidden, tasks):
    model, single = SharedBottom(5, tasks, hidden).double(), SingleTask(5, hidden).double()
    generator = torch.Generator().manual_seed(0)
    for module in (model, single):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    x_BD = torch.randn(8, 5, generator=generator, dtype=torch.float64)
    for b, x in enumerate(x_BD.numpy()):
        for t in range(tasks):
            expected = perceptron(x, networks(model.bottom)[0])
            np.testing.assert_allclose(model(x_BD)[b, t].detach().numpy(), expected, rtol=1e-10, atol=1e-10)
        expected = perceptron(x, networks(single.bottom)[0])
        np.testing.assert_allclose(single(x_BD)[b, 0].detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def test_the_paper_s_bottom_has_113_units():
    assert matched_bottom(100, 2, ModelConfig(experts=8, expert_hidden=(16,), tower_hidden=(8,))) == (113,)


def test_a_given_bottom_is_taken():
    config = ModelConfig(bottom_hidden=(7, 3))
    assert SharedBottom.build(5, 2, config).output_width == 3
    assert SingleTask.build(5, 2, config).bottom.hidden == (7, 3)


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
