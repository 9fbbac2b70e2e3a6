"""Single-Task is equation 1 for one task, with a model for each task."""

from __future__ import annotations

import pytest

from manygate.architecture import Inputs, SingleTask
from manygate.architecture.shared_bottom import matched_bottom
from manygate.config import ModelConfig
from manygate.layers.tower import Towers
from numpy_reading import agree, nets, rows, shaken, tower

deep = pytest.mark.parametrize("hidden", [(6,), (6, 4, 3)], ids=["one layer", "three layers"])


@deep
def test_single_task_is_equation_1_of_one_task(hidden):
    """y = h(f(x)), whatever the number of tasks of the run."""
    single, towers = shaken(SingleTask(5, hidden)), shaken(Towers(1, hidden[-1], (3,)))
    x_BD = rows(8, 5)
    for b, x in enumerate(x_BD.numpy()):
        f = nets(single.bottom)[0](x)
        agree(single(x_BD)[b], [f])
        agree(towers(single(x_BD))[b], [tower(f, towers, 0)])


def test_a_given_bottom_of_a_single_task_is_taken():
    model = SingleTask.build(Inputs(5), 2, ModelConfig(bottom_hidden=(7, 3)))
    assert model.output_width == 3
    assert model.bottom.hidden == (7, 3)


def test_the_bottom_of_a_single_task_is_the_one_that_all_tasks_would_share():
    config = ModelConfig(experts=4, expert_hidden=(16,), tower_hidden=(8,))
    for tasks in (1, 2, 5):
        assert SingleTask.build(Inputs(30), tasks, config).bottom.hidden == matched_bottom(30, tasks, config)


def test_single_tasks_share_nothing():
    assert SingleTask.one_model_per_task
    assert not SingleTask(5, (6,)).shared_parameters()
    assert SingleTask(5, (6,)).shared_layer() is None
