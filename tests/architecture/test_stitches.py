"""Cross-Stitch and Sluice Network mix the tasks' layers by learned matrices, as their papers write them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from manygate.architecture import CrossStitch, Inputs, SluiceNetwork
from manygate.architecture.cross_stitch import near_identity
from manygate.architecture.sluice_network import last_first
from manygate.config import ModelConfig
from manygate.errors import InputError
from manygate.layers.tower import Towers
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


@some_tasks
@pytest.mark.parametrize(("layers", "subspaces"), [(1, 2), (3, 1), (3, 2), (2, 3)])
def test_sluice_is_equations_2_and_3(tasks, layers, subspaces):
    model = shaken(SluiceNetwork(5, tasks, (6,) * layers, subspaces))
    x_BD, part = rows(8, 5), 6 // subspaces
    for b, x in enumerate(x_BD.numpy()):
        read, mixed = [x] * tasks, []
        for number in range(layers):
            y = [layer(model, number, t)(read[t]) for t in range(tasks)]
            pieces = [y[t][s * part : (s + 1) * part] for t in range(tasks) for s in range(subspaces)]
            alpha = array(model.alpha)[number]
            stirred = [sum(alpha[i, j] * pieces[j] for j in range(len(pieces))) for i in range(len(pieces))]
            read = [np.concatenate(stirred[t * subspaces : (t + 1) * subspaces]) for t in range(tasks)]
            mixed.append(read)
        beta = array(model.beta)
        agree(model(x_BD)[b], [sum(beta[t, n] * mixed[n][t] for n in range(layers)) for t in range(tasks)])


@some_tasks
@pytest.mark.parametrize(("layers", "subspaces"), [(1, 2), (3, 2), (2, 3), (2, 1)])
def test_sluice_penalty_is_equation_4(tasks, layers, subspaces):
    model, towers, part = shaken(SluiceNetwork(5, tasks, (6,) * layers, subspaces, 0.7)), Towers(tasks, 6, ()), 6 // subspaces
    expected = 0.0
    for number in range(layers):
        for t in range(tasks):
            weight = layer(model, number, t).layers[0][0]
            parts = [weight[:, s * part : (s + 1) * part] for s in range(subspaces)]
            expected += sum(((one.T @ two) ** 2).sum() for one, two in combinations(parts, 2))
    agree(model.penalty(towers), 0.7 * expected)
    assert shaken(SluiceNetwork(5, tasks, (6,), 2)).penalty(towers) == 0


@pytest.mark.parametrize("size", [1, 2, 5])
def test_stitches_start_near_the_identity_in_rows_that_sum_to_one(size):
    matrix = near_identity(size)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(size))
    torch.testing.assert_close(matrix.diagonal(), torch.full((size,), 1.0 if size == 1 else 0.9))
    torch.testing.assert_close(last_first(size).sum(), torch.tensor(1.0))
    assert last_first(size).argmax() == size - 1
    for model in (CrossStitch(5, size, (6, 4)), SluiceNetwork(5, size, (6, 6), 1)):
        stitches = model.stitch if isinstance(model, CrossStitch) else model.alpha
        torch.testing.assert_close(stitches.detach(), matrix.expand(2, -1, -1))


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
    assert SluiceNetwork(5, 2, (6,), stitch_rate=100.0).learning_rates() == {"alpha": 100.0, "beta": 100.0}
    for model in (CrossStitch(5, 2, (6,)), SluiceNetwork(5, 2, (6,))):
        assert set(model.learning_rates()) <= {name for name, _ in model.named_parameters()}


def test_identity_stitches_keep_tasks_apart():
    model = shaken(CrossStitch(5, 2, (6, 4)))
    with torch.no_grad():
        model.stitch.copy_(torch.eye(2).expand(2, -1, -1))
    model(rows(20, 5))[:, 0].sum().backward()
    assert (model.first.weight.grad[:, 6:] == 0).all()
    assert (model.first.weight.grad[:, :6] != 0).any()
    assert (model.later[0].weights[0].grad[1] == 0).all()


def test_sluice_widths_that_differ_or_do_not_split():
    with pytest.raises(InputError, match=r"bottom_hidden: sluice_network mixes its layers.*found \(6, 4\)"):
        SluiceNetwork(5, 2, (6, 4))
    with pytest.raises(InputError, match=r"bottom_hidden: a width of 6 cannot be split in 4 subspaces\. Choose a multiple"):
        SluiceNetwork.build(Inputs(5), 2, ModelConfig(bottom_hidden=(6, 6), subspaces=4))


def test_sluice_takes_the_nearest_matched_width_that_splits():
    model = SluiceNetwork.build(Inputs(30), 2, ModelConfig(experts=4, expert_hidden=(16, 8), subspaces=5))
    assert model.output_width % 5 == 0
    assert model.first.hidden == (model.output_width,)
