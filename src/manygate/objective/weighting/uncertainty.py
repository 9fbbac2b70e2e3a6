"""Weights learned from each task's noise: Kendall, Gal & Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for
Scene Geometry and Semantics", CVPR 2018."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import StepContext, Weighting, WeightingSetup

LARGEST = 20.0
"""The largest |s|; e^20 is 5e8. The parameter s itself is limited, so that it leaves the bound as soon as its gradient points
inwards."""


@final
class Uncertainty(Weighting):
    """Computes objective = sum_k w_k (c_k e^-s_k L_k + s_k / 2). s_k = log sigma_k^2 starts at 0 and is trained with the model.

    c is 1 for a binary task (a softened likelihood, equation 10) and 1/2 for a regression (a Gaussian likelihood, equation 7). The
    term is least at e^s = 2 c L. This is twice the loss of a binary task, and the mean squared error (the variance) of a
    regression. The objective does not divide by s, so every value of s has a finite gradient. The fixed weight multiplies the whole
    term. If it multiplied only e^-s L, the best s would undo it. A task without rows in the batch gives no gradient to its s.
    """

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.s_MT = torch.zeros_like(setup.weight_MT).requires_grad_()
        self.parameters["weighting.s"] = self.s_MT
        self.share_MT = torch.where(setup.binary_MT, 1.0, 0.5).to(self.s_MT)

    @torch.no_grad()
    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        self.s_MT.clamp_(-LARGEST, LARGEST)
        return self.setup.weight_MT * self.share_MT * (-self.s_MT).exp()

    def objective(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        self.weight_MT = self.weigh(loss_MT, context)
        term_MT = self.share_MT * (-self.s_MT).exp() * loss_MT + 0.5 * self.s_MT
        return (self.setup.weight_MT * context.present_MT * term_MT).sum(dim=1)
