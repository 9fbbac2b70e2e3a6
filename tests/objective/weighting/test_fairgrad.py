"""Tests of FairGrad and of the solver that it shares with Nash-MTL: The weights solve their equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchjd.aggregation import FairGradWeighting, NashMTL

from manygate.objective.weighting.fairgrad import fair_weights


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem that is not DPP")
def test_nash_and_fairgrad_meet_their_equations_and_torchjd_s(tasks):
    random = np.random.default_rng(tasks)
    gradients = random.normal(size=(6, tasks, 8))
    gramian = gradients @ gradients.transpose(0, 2, 1)
    gramian /= np.trace(gramian, axis1=1, axis2=2)[:, None, None] / tasks
    nash, fair = fair_weights(gramian, 1.0), fair_weights(gramian, 2.0)
    agreed = 0
    for m in range(6):
        np.testing.assert_allclose(gramian[m] @ nash[m], 1 / nash[m], rtol=2e-3)
        np.testing.assert_allclose(gramian[m] @ fair[m], fair[m] ** -0.5, rtol=2e-3)
        np.testing.assert_allclose(fair[m], FairGradWeighting(2.0)(torch.tensor(gramian[m])).numpy(), rtol=1e-2)
        reference = NashMTL(n_tasks=tasks, max_norm=0.0)
        expected = reference.weighting(torch.tensor(gradients[m]))
        expected = expected.numpy()
        if (expected == expected[0]).all():  # TorchJD's solver gave up, and left the weights at 1
            continue
        agreed += 1
        np.testing.assert_allclose(nash[m] / nash[m].sum(), expected / expected.sum(), rtol=2e-2)  # TorchJD uses another scale
    assert agreed >= 4
