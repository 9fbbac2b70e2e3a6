"""DualProj goes against no task."""

from __future__ import annotations

import numpy as np
from hypothesis import given as over
from hypothesis import settings as runs

from weightings import pairs, weights_of


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_dualproj_goes_against_no_task(gradients):
    weights = weights_of("dualproj", gradients)
    gain = gradients @ (weights @ gradients)
    assert (gain >= -2e-3 * (gradients**2).sum()).all()
    if gradients[0] @ gradients[1] >= 0:
        np.testing.assert_allclose(weights, 1.0, rtol=1e-3, atol=1e-3)


def test_the_mean_gradient_is_projected_by_hand():
    """g_1 = (4, 0) and g_2 = (-1, 1): their sum (3, 1) has -2 with g_2, and 2 / |g_2|^2 = 1 more of g_2 makes it orthogonal."""
    np.testing.assert_allclose(weights_of("dualproj", [[4.0, 0.0], [-1.0, 1.0]]), [1.0, 2.0], rtol=2e-3)
