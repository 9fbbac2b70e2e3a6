"""UPGrad goes against no task."""

from __future__ import annotations

import numpy as np
from hypothesis import given as over
from hypothesis import settings as runs

from weightings import pairs, weights_of


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_upgrad_goes_against_no_task(gradients):
    weights = weights_of("upgrad", gradients)
    gain = gradients @ (weights @ gradients)
    assert (gain >= -2e-3 * (gradients**2).sum()).all()
    if gradients[0] @ gradients[1] >= 0:
        np.testing.assert_allclose(weights, 1.0, rtol=1e-3, atol=1e-3)


def test_each_gradient_is_projected_by_hand():
    """g_1 = (2, 0) and g_2 = (-1, 1): they become g_1 + 2 / 2 g_2 and g_2 + 2 / 4 g_1, of sum 3/2 g_1 + 2 g_2."""
    np.testing.assert_allclose(weights_of("upgrad", [[2.0, 0.0], [-1.0, 1.0]]), [1.5, 2.0], rtol=2e-3)
