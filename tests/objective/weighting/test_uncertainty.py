"""Compare weights from each task's noise with values by hand: the objective, the gradients and the trained s."""

from __future__ import annotations

import math

import torch

from weightings import MEMBERS, losses, make, step_context


def test_uncertainty_by_hand():
    """s = (log 2, log 4), a binary loss of 0.7 and a squared error of 2: 0.7/2 + log(2)/2 and 2/4/2 + log(4)/2."""
    weighting = make("uncertainty", weight=(1.0, 3.0))
    with torch.no_grad():
        weighting.parameters["weighting.s"].copy_(losses(math.log(2), math.log(4)))
    loss_MT = losses(0.7, 2.0).requires_grad_()
    objective_M = weighting.objective(loss_MT, step_context())
    expected = 0.35 + math.log(2) / 2 + 3 * (0.25 + math.log(4) / 2)
    torch.testing.assert_close(objective_M.detach(), torch.full((MEMBERS,), expected))
    objective_M.sum().backward()
    torch.testing.assert_close(weighting.parameters["weighting.s"].grad, losses(-0.35 + 0.5, 3 * (-0.25 + 0.5)))
    torch.testing.assert_close(loss_MT.grad, losses(0.5, 3 * 0.125))
    torch.testing.assert_close(weighting.weight_MT, losses(0.5, 3 * 0.125))


def test_a_task_without_rows_gets_no_gradient_and_s_returns_from_any_value():
    weighting = make("uncertainty")
    s_MT = weighting.parameters["weighting.s"]
    weighting.objective(losses(0.7, 0.0), step_context(present=[True, False])).sum().backward()
    assert (s_MT.grad[:, 1] == 0).all()
    for start, sign in ((-1e30, -1.0), (1e30, 1.0)):
        with torch.no_grad():
            s_MT.fill_(start)
        s_MT.grad = None
        objective_M = weighting.objective(losses(0.7, 2.0), step_context())
        assert torch.isfinite(objective_M).all()
        objective_M.sum().backward()
        assert torch.isfinite(s_MT.grad).all()
        assert (s_MT.grad * sign > 0).all(), "descent goes back towards the middle"


def test_uncertainty_ends_at_twice_the_loss_of_a_binary_task_and_at_the_squared_error():
    weighting = make("uncertainty")
    s_MT = weighting.parameters["weighting.s"]
    optimizer = torch.optim.SGD([s_MT], lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        weighting.objective(losses(0.7, 2.0), step_context()).sum().backward()
        optimizer.step()
    torch.testing.assert_close(s_MT.detach().exp(), losses(1.4, 2.0), rtol=1e-4, atol=1e-4)
