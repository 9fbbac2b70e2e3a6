"""Weights learned from each task's noise: Kendall, Gal & Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for
Scene Geometry and Semantics", CVPR 2018."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import Given, Seen, Weighting

LARGEST = 20.0
"""Bound of |s|: e^20 is 5e8. It bounds s itself, not what is read of it, so that s comes back as soon as its gradient says so."""


@final
class Uncertainty(Weighting):
    """objective = sum_k w_k (c_k e^-s_k L_k + s_k / 2), with s_k = log sigma_k^2 trained from 0 beside the model.

    c is 1 for a binary task (a softened likelihood, equation 10) and 1/2 for regression (a Gaussian one, equation 7). The sum is
    least at e^s = 2 c L: for a binary task at twice its loss, for regression at its mean squared error, which is the variance. In
    s nothing is divided by, so that no value of it is a dead end. The fixed weight multiplies the whole term: within e^-s L alone
    the best s would undo it. A task without rows in the batch gives its s no gradient.
    """

    def __init__(self, given: Given):
        super().__init__(given)
        self.s_MT = torch.zeros_like(given.weight_MT).requires_grad_()
        self.parameters["weighting.s"] = self.s_MT
        self.share_MT = torch.where(given.binary_MT, 1.0, 0.5).to(self.s_MT)

    @torch.no_grad()
    def weigh(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        self.s_MT.clamp_(-LARGEST, LARGEST)
        return self.given.weight_MT * self.share_MT * (-self.s_MT).exp()

    def objective(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        self.weight_MT = self.weigh(loss_MT, seen)
        term_MT = self.share_MT * (-self.s_MT).exp() * loss_MT + 0.5 * self.s_MT
        return (self.given.weight_MT * seen.present_MT * term_MT).sum(dim=1)
