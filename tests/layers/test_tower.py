"""Each tower reads the representation of its own task."""

from __future__ import annotations

import torch

from manygate.layers.tower import Towers
from numpy_reading import rows, shaken


def test_further_towers_read_the_representations_of_the_tasks_that_they_name():
    towers = shaken(Towers(3, 5, (4,), heads=(2, 1)))
    h_BTH = rows(7, 15).unflatten(-1, (3, 5))
    output_BO = towers(h_BTH)
    assert output_BO.shape == (7, 5)
    for output, task in enumerate((0, 1, 2, 2, 1)):
        hidden = (h_BTH[:, task] @ towers.hidden.weights[0][output] + towers.hidden.biases[0][output]).relu()
        torch.testing.assert_close(output_BO[:, output], hidden @ towers.weight[output] + towers.bias[output])
