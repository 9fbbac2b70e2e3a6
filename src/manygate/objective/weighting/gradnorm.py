"""GradNorm: Chen, Badrinarayanan, Lee & Rabinovich, "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
Multitask Networks", ICML 2018."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import StepContext, Weighting, WeightingSetup

RATE = 0.025
SMALLEST = 1e-3
"""The least weight. A weight of 0 would stay 0, because the norm of its gradient would be 0 too."""


@final
class GradNorm(Weighting):
    """Learns weights v that pull each task's gradient norm G_k = v_k n_k towards mean(G) r_k^alpha.

    r_k = (L_k / L_k(first)) / (the mean of these ratios), so a task that learns slowly gets a longer gradient. alpha is the setting
    ``gradnorm_alpha``. The gradient of sum_k |G_k - mean(G) r_k^alpha|, with the target held constant, is
    sign(G_k - mean(G) r_k^alpha) n_k. v takes one step against it and is renormalised to the sum T (algorithm 1).

    Departures: n_k is the norm of the loss's gradient at the output of the last shared layer, and not at its weights. The step is
    plain gradient descent at rate 0.025, with the norms divided by their mean. So it does not depend on the batch size or the scale
    of the losses. L_k(first) is the loss of the first batch that has rows of the task. A task without rows in a batch takes no part
    in the step. The fixed weight multiplies v.
    """

    needs_gradients = True

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.v_MT = torch.ones_like(setup.weight_MT)
        self.first_MT = torch.full_like(setup.weight_MT, float("nan"))
        self.state = {"v": self.v_MT, "first": self.first_MT}

    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        weight_MT = self.setup.weight_MT * self.v_MT
        if context.gramian_MTT is None:
            return weight_MT
        norm_MT = context.gramian_MTT.diagonal(dim1=1, dim2=2).sqrt()
        usable_MT = context.present_MT & loss_MT.isfinite() & norm_MT.isfinite() & context.active_M.unsqueeze(1)
        self.first_MT.copy_(torch.where(self.first_MT.isnan() & usable_MT, loss_MT, self.first_MT))
        usable_MT &= self.first_MT > 0
        self._update(loss_MT, norm_MT.to(self.v_MT), usable_MT)
        return weight_MT

    def _update(self, loss_MT: Tensor, norm_MT: Tensor, usable_MT: Tensor) -> None:
        def mean(value_MT: Tensor) -> Tensor:
            return value_MT.where(usable_MT, 0.0).sum(dim=1, keepdim=True) / usable_MT.sum(dim=1, keepdim=True).clamp(min=1)

        scaled_norm_MT, ratio_MT = self.v_MT * norm_MT, loss_MT / self.first_MT
        target_MT = mean(scaled_norm_MT) * (ratio_MT / mean(ratio_MT)) ** self.setup.config.gradnorm_alpha
        gradient_MT = (scaled_norm_MT - target_MT).sign() * norm_MT / mean(norm_MT)
        gradient_MT = gradient_MT.where(usable_MT & gradient_MT.isfinite(), 0.0)
        v_MT = (self.v_MT - RATE * gradient_MT).clamp(min=SMALLEST)
        before_M1, after_M1 = (value_MT.where(usable_MT, 0.0).sum(dim=1, keepdim=True) for value_MT in (self.v_MT, v_MT))
        scale_M1 = before_M1 / after_M1.where(after_M1 > 0, 1.0)  # tasks that are not usable keep their weights, so the sum stays T
        self.v_MT.copy_(torch.where(usable_MT, v_MT * scale_M1, self.v_MT))
