"""MGDA of two tasks in closed form."""

from __future__ import annotations

import numpy as np
from hypothesis import given as over
from hypothesis import settings as runs

from weightings import pairs, weights_of


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_mgda_of_two_tasks_in_closed_form(gradients):
    """Sener & Koltun, section 3.3: the share of the first is clip((g_2 - g_1) . g_2 / |g_1 - g_2|^2)."""
    first, second = gradients
    apart = first - second
    if apart @ apart < 1e-3:
        return
    share = np.clip((second - first) @ second / (apart @ apart), 0, 1)
    np.testing.assert_allclose(weights_of("mgda", gradients), 2 * np.array([share, 1 - share]), rtol=1e-3, atol=2e-3)
