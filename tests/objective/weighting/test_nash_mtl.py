"""Nash-MTL of two tasks in closed form."""

from __future__ import annotations

import numpy as np

from weightings import weights_of


def test_nash_of_two_tasks_in_closed_form():
    """w_k = 1 / (|g_k| sqrt(1 + cos)): from w_1 G_11 w_1 = w_2 G_22 w_2 = 1 - w_1 G_12 w_2."""
    gradients = np.array([[2.0, 0.0], [-0.3, 0.4]])
    length = np.linalg.norm(gradients, axis=1)
    cosine = gradients[0] @ gradients[1] / length.prod()
    scale = np.sqrt((length**2).mean())
    np.testing.assert_allclose(weights_of("nash_mtl", gradients), scale / (length * np.sqrt(1 + cosine)), rtol=1e-3)
