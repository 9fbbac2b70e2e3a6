"""Test that each tower reads the representation of its task."""

from __future__ import annotations

import pytest
import torch

from manygate.layers.tower import Towers
from numpy_reading import agree, rows, shaken, tower


def test_further_towers_read_the_representations_of_the_tasks_that_they_name():
    towers = shaken(Towers(3, 5, (4,), heads=(2, 1)))
    h_BTH = rows(7, 15).unflatten(-1, (3, 5))
    output_BO = towers(h_BTH)
    assert output_BO.shape == (7, 5)
    for output, task in enumerate((0, 1, 2, 2, 1)):
        hidden = (h_BTH[:, task] @ towers.hidden.weights[0][output] + towers.hidden.biases[0][output]).relu()
        torch.testing.assert_close(output_BO[:, output], hidden @ towers.weight[output] + towers.bias[output])


@pytest.mark.parametrize("hidden", [(), (3,), (4, 3)])
def test_towers_of_any_depth_and_none(hidden):
    towers = shaken(Towers(2, 6, hidden))
    h_BTH = rows(12, 6).view(6, 2, 6)
    agree(towers(h_BTH), [[tower(h_BTH[b, t].numpy(), towers, t) for t in range(2)] for b in range(6)])


@pytest.mark.parametrize("hidden", [(), (3,), (4, 3)])
@pytest.mark.parametrize("more", [{}, {"heads": (1,)}, {"heads": (0,), "steps": [(1, 0)]}], ids=["plain", "heads", "steps"])
def test_towers_that_all_read_one_representation(hidden, more):
    """Outputs and all gradients are the same as if each tower had its own copy of the representation."""
    towers = shaken(Towers(2, 6, hidden, **more))
    results = []
    for copies in (1, 2):
        h_B1H = rows(5, 6).view(5, 1, 6).requires_grad_()
        output_BO = towers(h_B1H.expand(-1, copies, -1).clone())
        (output_BO * rows(5, output_BO.shape[1], seed=2)).sum().backward()
        results.append([output_BO, h_B1H.grad, *(value.grad for value in towers.parameters())])
        towers.zero_grad()
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
