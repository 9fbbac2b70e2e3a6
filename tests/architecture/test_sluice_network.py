"""Sluice Network mixes subspaces of the tasks' layers, as its paper writes it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from manygate.architecture import Inputs, SluiceNetwork
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
def test_a_sluice_network_starts_near_the_identity_and_reads_the_last_layer_first(size):
    torch.testing.assert_close(last_first(size).sum(), torch.tensor(1.0))
    assert last_first(size).argmax() == size - 1
    torch.testing.assert_close(SluiceNetwork(5, size, (6, 6), 1).alpha.detach(), near_identity(size).expand(2, -1, -1))


def test_sluices_learn_at_a_rate_of_their_own():
    assert SluiceNetwork(5, 2, (6,), stitch_rate=100.0).learning_rates() == {"alpha": 100.0, "beta": 100.0}
    model = SluiceNetwork(5, 2, (6,))
    assert set(model.learning_rates()) <= {name for name, _ in model.named_parameters()}


def test_sluice_widths_that_differ_or_do_not_split():
    with pytest.raises(InputError, match=r"bottom_hidden: sluice_network mixes its layers.*found \(6, 4\)"):
        SluiceNetwork(5, 2, (6, 4))
    with pytest.raises(InputError, match=r"bottom_hidden: a width of 6 cannot be split in 4 subspaces\. Choose a multiple"):
        SluiceNetwork.build(Inputs(5), 2, ModelConfig(bottom_hidden=(6, 6), subspaces=4))


def test_sluice_takes_the_nearest_matched_width_that_splits():
    model = SluiceNetwork.build(Inputs(30), 2, ModelConfig(experts=4, expert_hidden=(16, 8), subspaces=5))
    assert model.output_width % 5 == 0
    assert model.first.hidden == (model.output_width,)
