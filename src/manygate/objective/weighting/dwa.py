"""Dynamic weight average: Liu, Johns & Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, section 3.2."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import StepContext, Weighting, WeightingSetup

TEMPERATURE = 2.0


@final
class DynamicWeightAverage(Weighting):
    """Weighs a task more if its mean training loss falls more slowly from epoch to epoch.

    Equation 7: lambda_k(t) = T softmax_k(r_k(t - 1) / 2), with r_k(t - 1) = L_k(t - 1) / L_k(t - 2). L_k(t) is the mean training
    loss of epoch t. In the first two epochs lambda is 1. The fixed weight multiplies lambda. A ratio is undefined if an epoch had
    no row of the task or a loss of 0. It then counts as 1.
    """

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.last_MT = torch.full_like(setup.weight_MT, float("nan"), dtype=torch.float64)
        self.factor_MT = torch.ones_like(setup.weight_MT)
        self.state = {"last": self.last_MT, "factor": self.factor_MT}

    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        return self.setup.weight_MT * self.factor_MT

    def close_epoch(self, mean_MT: Tensor) -> None:
        ratio_MT = mean_MT / self.last_MT
        if torch.isfinite(self.last_MT).any():
            ratio_MT = ratio_MT.where(ratio_MT.isfinite(), 1.0)
            self.factor_MT.copy_(ratio_MT.shape[1] * torch.softmax(ratio_MT / TEMPERATURE, dim=1))
        self.last_MT.copy_(mean_MT.where(mean_MT.isfinite(), self.last_MT))
