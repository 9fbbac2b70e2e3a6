"""Shared-Bottom is equation 1, and its bottom matches the budget of the experts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.architecture import Inputs, SharedBottom
from manygate.architecture.shared_bottom import matched_bottom
from manygate.config import ModelConfig
from manygate.layers.tower import Towers
from numpy_reading import agree, nets, rows, shaken, tower

quick = settings(max_examples=50, deadline=None, derandomize=True)
widths = st.lists(st.integers(1, 64), min_size=1, max_size=3).map(tuple)
deep = pytest.mark.parametrize("hidden", [(6,), (6, 4, 3)], ids=["one layer", "three layers"])
some_tasks = pytest.mark.parametrize("tasks", [1, 2, 3])


@deep
@some_tasks
def test_shared_bottom_is_equation_1(hidden, tasks):
    """y_k = h_k(f(x)): every task's tower reads the one f."""
    model, towers = shaken(SharedBottom(5, hidden)), shaken(Towers(tasks, hidden[-1], (3,)))
    x_BD = rows(8, 5)
    for b, x in enumerate(x_BD.numpy()):
        f = nets(model.bottom)[0](x)
        agree(model(x_BD)[b], [f])
        agree(towers(model(x_BD))[b], [tower(f, towers, t) for t in range(tasks)])


def test_a_given_bottom_is_taken():
    model = SharedBottom.build(Inputs(5), 2, ModelConfig(bottom_hidden=(7, 3)))
    assert model.output_width == 3
    assert model.bottom.hidden == (7, 3)


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


def test_a_shared_bottom_is_one_for_all_tasks():
    model = SharedBottom(5, (6,))
    assert {id(parameter) for parameter in model.shared_parameters()} == {id(parameter) for parameter in model.parameters()}
    assert model(rows(4, 5).float()).shape == (4, 1, 6), "one representation for both tasks"
