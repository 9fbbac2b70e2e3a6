"""GradVac moves the cosine of a pair to its running mean."""

from __future__ import annotations

import math

import numpy as np
import torch

from weightings import MEMBERS, drawn_weights, losses, make, step_context


def test_gradvac_moves_the_cosine_to_its_running_mean():
    """One pair: when the cosine falls below the mean of those seen, task 1 gets the multiple of g_2 that restores it."""
    weighting = make("gradvac", binary=(True, True))
    alike = np.array([[1.0, 0.0], [0.8, 0.6]])
    weighting.weigh(losses(1, 1), step_context(gradients=alike))
    target = 0.5 * 0.8
    torch.testing.assert_close(weighting.state["target"][:, 0, 1], torch.full((MEMBERS,), target).double(), rtol=1e-4, atol=1e-5)
    apart = np.array([[1.0, 0.0], [-0.6, 0.8]])
    weights = weighting.weigh(losses(1, 1), step_context(step=1, gradients=apart))[0].numpy()
    extra = (target * math.sqrt(1 - 0.6**2) + 0.6 * math.sqrt(1 - target**2)) / math.sqrt(1 - target**2)
    np.testing.assert_allclose(weights, [1 + extra, 1 + extra], rtol=1e-4)


def test_the_order_of_tasks_is_drawn_for_each_member_and_step():
    drawn = drawn_weights("gradvac")
    assert any(not torch.equal(weights[0], weights[1]) for weights in drawn)
    for weights, again in zip(drawn, drawn_weights("gradvac"), strict=True):
        assert torch.equal(weights, again)
