"""GradNorm: Chen, Badrinarayanan, Lee & Rabinovich, "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
Multitask Networks", ICML 2018."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import Given, Seen, Weighting

RATE = 0.025
SMALLEST = 1e-3
"""The least weight: one of 0 would never come back, since its gradient's norm would be 0 too."""


@final
class GradNorm(Weighting):
    """Weights v that pull each task's gradient norm G_k = v_k n_k towards mean(G) r_k^alpha.

    r_k = (L_k / L_k(first)) / mean of these: a task that learns slowly gets a longer gradient. The gradient of
    sum_k |G_k - mean(G) r_k^alpha|, its second part held constant, is sign(G_k - mean(G) r_k^alpha) n_k: v takes one step against
    it, and is renormalised to sum T (algorithm 1). ``gradnorm_alpha`` is alpha.

    Departures: n_k is the norm of the loss's gradient at the last shared layer's output, not at its weights; the
    step is plain gradient descent at rate 0.025 with the norms divided by their mean, so that it does not hang on the batch's size
    or the losses' scale. L_k(first) is the loss of the first batch that has the task. Tasks without rows in a batch are left
    out of its step. The fixed weight multiplies v.
    """

    reads_gradients = True

    def __init__(self, given: Given):
        super().__init__(given)
        self.v_MT = torch.ones_like(given.weight_MT)
        self.first_MT = torch.full_like(given.weight_MT, float("nan"))
        self.state = {"v": self.v_MT, "first": self.first_MT}

    def weigh(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        weight_MT = self.given.weight_MT * self.v_MT
        if seen.gramian_MTT is None:
            return weight_MT
        norm_MT = seen.gramian_MTT.diagonal(dim1=1, dim2=2).sqrt()
        usable_MT = seen.present_MT & loss_MT.isfinite() & norm_MT.isfinite() & seen.active_M.unsqueeze(1)
        self.first_MT.copy_(torch.where(self.first_MT.isnan() & usable_MT, loss_MT, self.first_MT))
        usable_MT &= self.first_MT > 0
        self._update(loss_MT, norm_MT.to(self.v_MT), usable_MT)
        return weight_MT

    def _update(self, loss_MT: Tensor, norm_MT: Tensor, usable_MT: Tensor) -> None:
        def mean(value_MT: Tensor) -> Tensor:
            return value_MT.where(usable_MT, 0.0).sum(dim=1, keepdim=True) / usable_MT.sum(dim=1, keepdim=True).clamp(min=1)

        own_MT, ratio_MT = self.v_MT * norm_MT, loss_MT / self.first_MT
        target_MT = mean(own_MT) * (ratio_MT / mean(ratio_MT)) ** self.given.config.gradnorm_alpha
        gradient_MT = (own_MT - target_MT).sign() * norm_MT / mean(norm_MT)
        gradient_MT = gradient_MT.where(usable_MT & gradient_MT.isfinite(), 0.0)
        v_MT = (self.v_MT - RATE * gradient_MT).clamp(min=SMALLEST)
        before_M1, after_M1 = (value_MT.where(usable_MT, 0.0).sum(dim=1, keepdim=True) for value_MT in (self.v_MT, v_MT))
        scale_M1 = before_M1 / after_M1.where(after_M1 > 0, 1.0)  # the others keep theirs, and the sum stays T
        self.v_MT.copy_(torch.where(usable_MT, v_MT * scale_M1, self.v_MT))
