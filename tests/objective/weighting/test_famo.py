"""Compare FAMO with TorchJD's, and with values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchjd import scalarization

from manygate.objective.weighting.famo import RATE
from weightings import MEMBERS, losses, make, step_context


def test_famo_is_torchjd_s_times_the_number_of_tasks():
    weighting, reference = make("famo"), scalarization.FAMO(2)
    random = np.random.default_rng(0)
    for step in range(20):
        before, after = random.uniform(0.1, 3.0, (2, 2))
        value = torch.tensor(before).float().requires_grad_()
        (gradient,) = torch.autograd.grad(reference(value), value)
        weights = weighting.weigh(losses(*before), step_context(step=step))
        torch.testing.assert_close(weights, 2 * gradient.expand(MEMBERS, 2), rtol=1e-4, atol=1e-5)
        reference.update(torch.tensor(after).float())
        weighting.after_update(losses(*after), step_context(step=step))
    assert weighting.state["logit"].abs().max() > RATE, "the weights have moved"


def test_famo_without_the_rows_of_a_task():
    weighting = make("famo")
    weights = weighting.weigh(losses(0.3, 0.0), step_context(present=[True, False]))
    torch.testing.assert_close(weights[:, 0], torch.ones(MEMBERS))
    weighting.after_update(losses(0.2, 0.0), step_context(present=[True, False]))
    torch.testing.assert_close(weighting.state["logit"], torch.zeros(MEMBERS, 2))


@pytest.mark.parametrize(("pull", "expected"), [(0.0, 0.975), (0.0005, 0.975), (0.0015, 1.025)])
def test_famo_s_logits_decay_by_a_thousandth_of_themselves(pull, expected):
    """By hand: at xi = (1, -1), z_1 z_2 = e^2 / (1 + e^2)^2, and the gradient is 0.001 (1, -1) - pull (1, -1).

    Adam's first step is 0.025 long against the sign of the gradient. So the three cases show that the decay lies between 0.0005 and
    0.0015.
    """
    weighting = make("famo")
    weighting.state["logit"].copy_(torch.tensor([1.0, -1.0]))
    product = math.e**2 / (1 + math.e**2) ** 2
    weighting.weigh(losses(1.0, 1.0), step_context())
    weighting.after_update(losses(math.exp(pull / product), 1.0), step_context())  # task 1 fell by -pull / z_1 z_2
    torch.testing.assert_close(weighting.state["logit"], losses(expected, -expected), rtol=1e-4, atol=0)
