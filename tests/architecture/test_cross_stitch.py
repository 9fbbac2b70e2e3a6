"""Cross-Stitch mixes the tasks' layers by learned matrices, as its paper writes them."""

from __future__ import annotations

import pytest
import torch

from manygate.architecture import CrossStitch
from manygate.architecture.cross_stitch import near_identity
from numpy_reading import agree, array, nets, rows, shaken, unit_nets

some_tasks = pytest.mark.parametrize("tasks", [1, 2, 3])


def layer(model, number, t):
    """Layer ``number`` of task t's network."""
    return nets(model.first)[t] if number == 0 else unit_nets(model.later[number - 1])[t]


@some_tasks
@pytest.mark.parametrize("hidden", [(6,), (6, 4, 3)], ids=["one layer", "three layers"])
def test_cross_stitch_is_equation_1_after_each_layer(hidden, tasks):
    model = shaken(CrossStitch(5, tasks, hidden))
    x_BD = rows(8, 5)
    for b, x in enumerate(x_BD.numpy()):
        read = [x] * tasks
        for number in range(len(hidden)):
            y = [layer(model, number, k)(read[k]) for k in range(tasks)]
            alpha = array(model.stitch)[number]
            read = [sum(alpha[j, k] * y[k] for k in range(tasks)) for j in range(tasks)]
        agree(model(x_BD)[b], read)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_stitches_start_near_the_identity_in_rows_that_sum_to_one(size):
    matrix = near_identity(size)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(size))
    torch.testing.assert_close(matrix.diagonal(), torch.full((size,), 1.0 if size == 1 else 0.9))
    torch.testing.assert_close(CrossStitch(5, size, (6, 4)).stitch.detach(), matrix.expand(2, -1, -1))


def test_stitches_keep_the_scale_of_what_they_mix():
    """A matrix of ones, as some start with, would make it T times larger in each layer."""
    model, x_BD = CrossStitch(50, 4, (64, 64)), rows(400, 50).float()
    plain = CrossStitch(50, 4, (64, 64))
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        plain.stitch.copy_(torch.eye(4).expand(2, -1, -1))
        ratio = model(x_BD).mean() / plain(x_BD).mean()
    assert 0.9 < ratio < 1.1


def test_stitches_learn_at_a_rate_of_their_own():
    assert CrossStitch(5, 2, (6,), stitch_rate=100.0).learning_rates() == {"stitch": 100.0}
    model = CrossStitch(5, 2, (6,))
    assert set(model.learning_rates()) <= {name for name, _ in model.named_parameters()}


def test_identity_stitches_keep_tasks_apart():
    model = shaken(CrossStitch(5, 2, (6, 4)))
    with torch.no_grad():
        model.stitch.copy_(torch.eye(2).expand(2, -1, -1))
    model(rows(20, 5))[:, 0].sum().backward()
    assert (model.first.weight.grad[:, 6:] == 0).all()
    assert (model.first.weight.grad[:, :6] != 0).any()
    assert (model.later[0].weights[0].grad[1] == 0).all()
