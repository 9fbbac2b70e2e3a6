"""Aligned-MTL against the singular value decomposition of the gradients."""

from __future__ import annotations

import numpy as np
from hypothesis import given as over
from hypothesis import settings as runs

from weightings import pairs, weights_of


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_aligned_mtl_makes_the_components_equally_long(gradients):
    """The combined gradient is the least singular value times the sum of U V' of the gradients' own decomposition."""
    u, sizes, v = np.linalg.svd(gradients, full_matrices=False)
    if sizes[-1] < 0.05 * sizes[0]:
        return
    expected = sizes[-1] * (u @ v).sum(axis=0)
    np.testing.assert_allclose(weights_of("aligned_mtl", gradients) @ gradients, expected, rtol=2e-3, atol=2e-3)
