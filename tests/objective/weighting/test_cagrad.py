"""CAGrad against a grid of weights and against TorchJD's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given as over
from hypothesis import settings as runs
from hypothesis import strategies as st
from torchjd.aggregation import CAGradWeighting

from manygate.objective.weighting.cagrad import two_tasks
from weightings import pairs


@over(pairs, st.sampled_from([0.1, 0.4, 0.9]))
@runs(max_examples=60, deadline=None)
def test_cagrad_of_two_tasks_against_torchjd_and_a_grid(gradients, c):
    gramian = gradients @ gradients.T
    gramian /= np.trace(gramian) / 2
    weights = two_tasks(gramian[None], c)[0]

    def worst(share: np.ndarray) -> np.ndarray:
        w = np.stack([share, 1 - share])
        length = np.sqrt(np.maximum(np.einsum("in,ij,jn->n", w, gramian, w), 0))
        return (gramian @ [0.5, 0.5]) @ w + c * np.sqrt(gramian.sum()) / 2 * length

    grid = np.linspace(0, 1, 2001)
    radius = c * np.sqrt(gramian.sum()) / 2
    rest = weights - 0.5
    if radius > 1e-3 and weights.any() and rest.sum() > 0:
        share = rest[0] / rest.sum()
        assert worst(np.array([share]))[0] <= worst(grid).min() + 1e-6
        combined = np.sqrt(max(rest @ gramian @ rest, 0.0))
        assert combined == pytest.approx(radius, rel=1e-6)
    if abs(gramian[0, 1]) < 0.9 * np.sqrt(gramian[0, 0] * gramian[1, 1]):
        reference = CAGradWeighting(c=c)(torch.tensor(gramian)).numpy()
        np.testing.assert_allclose(weights, reference, rtol=2e-2, atol=5e-3)
