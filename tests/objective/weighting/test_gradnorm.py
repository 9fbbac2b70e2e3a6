"""GradNorm, step by step in NumPy."""

from __future__ import annotations

import numpy as np
import torch

from weightings import losses, make, step_context


def test_gradnorm_by_hand():
    """Two steps in NumPy; the paper's loss |G - mean(G) r^alpha|, its gradient by finite differences."""
    alpha, rate = 1.5, 0.025
    gradients = np.array([[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]])  # norms 5 and 1
    weighting = make("gradnorm", weight=(1.0, 2.0), gradnorm_alpha=alpha)
    v, first, norm = np.ones(2), np.array([0.8, 2.0]), np.array([5.0, 1.0])
    for step, loss in enumerate(([0.8, 2.0], [0.4, 1.8])):
        weights = weighting.weigh(losses(*loss), step_context(step=step, gradients=gradients))
        torch.testing.assert_close(weights, losses(*(v * [1.0, 2.0])), rtol=1e-5, atol=1e-6)
        ratio = np.array(loss) / first
        target = (v * norm).mean() * (ratio / ratio.mean()) ** alpha

        def grad_loss(value: np.ndarray, target: np.ndarray = target) -> float:
            return float(np.abs(value * norm - target).sum())

        slope = np.array([(grad_loss(v + 1e-6 * e) - grad_loss(v - 1e-6 * e)) / 2e-6 for e in np.eye(2)])
        v = v - rate * slope / norm.mean()
        v = v * 2 / v.sum()
    torch.testing.assert_close(weighting.state["v"], losses(*v), rtol=1e-5, atol=1e-6)
    assert v[0] < 1 < v[1], "the task with the long gradient weighs less"


def test_gradnorm_with_a_task_absent_at_the_first_step():
    weighting = make("gradnorm")
    gradients = np.array([[1.0, 0.0], [0.0, 0.0]])
    weights = weighting.weigh(losses(0.8, 0.0), step_context(present=[True, False], gradients=gradients))
    torch.testing.assert_close(weights, losses(1.0, 1.0))
    torch.testing.assert_close(weighting.state["v"], losses(1.0, 1.0))
    assert weighting.state["first"][:, 1].isnan().all()
    weighting.weigh(losses(0.7, 3.0), step_context(gradients=[[1.0, 0.0], [0.0, 5.0]]))
    torch.testing.assert_close(weighting.state["first"], losses(0.8, 3.0))
    assert torch.isfinite(weighting.state["v"]).all()
    assert (weighting.state["v"][:, 0] > 1).all()
