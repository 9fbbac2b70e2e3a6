"""Compare the conditional logits of AITM with values by hand, row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from manygate.model.conditional import LARGEST_CONDITIONAL, conditional_logits
from manygate.model.targets import Targets

CHAIN = Targets(steps=((1, 0), (2, 1)), binary=(True, True, True))


def test_each_step_is_the_ratio_of_its_joint_probability_to_that_before():
    """P(2 | 1) is p_2 / p_1 of the joint outputs, and not of the result of the first division."""
    joint = np.array([[[0.8, 0.4, 0.1], [0.5, 0.25, 0.2]], [[0.9, 0.09, 0.01], [0.3, 0.1, 0.05]]])
    logit_MBT = torch.tensor(np.log(joint / (1 - joint)))
    conditional = conditional_logits(logit_MBT, CHAIN).sigmoid().numpy()
    np.testing.assert_allclose(conditional[..., 0], joint[..., 0], rtol=1e-5)
    for t in (1, 2):
        np.testing.assert_allclose(conditional[..., t], joint[..., t] / joint[..., t - 1], rtol=1e-4)


@pytest.mark.parametrize("joint", [3.0, 30.0])
def test_a_probability_above_that_of_the_step_before_is_capped(joint: float):
    logit_MBT = torch.tensor([[[-2.0, joint]]])
    capped = conditional_logits(logit_MBT, Targets(steps=((1, 0),), binary=(True, True)))
    assert capped[0, 0, 1].sigmoid().item() == pytest.approx(LARGEST_CONDITIONAL, abs=2e-7)
    assert torch.isfinite(capped).all()


def test_extreme_logits_stay_finite():
    logit_MBT = torch.tensor([[[-90.0, -95.0], [80.0, 80.0], [-90.0, 90.0]]])
    conditional = conditional_logits(logit_MBT, Targets(steps=((1, 0),), binary=(True, True)))
    assert torch.isfinite(conditional).all()
    assert conditional[0, 0, 1].sigmoid().item() == pytest.approx(math.exp(-5), rel=1e-4), "e^-95 / e^-90"


def test_a_number_after_a_step_keeps_its_output():
    logit_MBT = torch.tensor([[[0.3, 7.5]]])
    assert torch.equal(conditional_logits(logit_MBT, Targets(steps=((1, 0),), binary=(True, False))), logit_MBT)
    assert torch.equal(conditional_logits(logit_MBT, Targets(binary=(True, True))), logit_MBT)
