"""IMTL-G of two tasks has equal projections."""

from __future__ import annotations

import numpy as np
from hypothesis import given as over
from hypothesis import settings as runs

from weightings import pairs, weights_of


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_imtl_g_of_two_tasks_has_equal_projections(gradients):
    length = np.linalg.norm(gradients, axis=1)
    if abs(gradients[0] @ gradients[1]) > 0.99 * length.prod():
        return
    np.testing.assert_allclose(weights_of("imtl_g", gradients), 2 * length[::-1] / length.sum(), rtol=1e-3, atol=1e-3)
