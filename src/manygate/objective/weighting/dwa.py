"""Dynamic weight average: Liu, Johns & Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, section 3.2."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import Given, Seen, Weighting

TEMPERATURE = 2.0


@final
class DynamicWeightAverage(Weighting):
    """lambda_k(t) = T softmax_k(r_k(t - 1) / 2), with r_k(t - 1) = L_k(t - 1) / L_k(t - 2) of the epochs' mean training losses.

    Equation 7. In the first two epochs lambda is 1. The fixed weight multiplies lambda. Where a ratio is undefined, since an epoch
    had no row of the task or a loss of 0, it counts as 1: neither faster nor slower.
    """

    def __init__(self, given: Given):
        super().__init__(given)
        self.last_MT = torch.full_like(given.weight_MT, float("nan"), dtype=torch.float64)
        self.factor_MT = torch.ones_like(given.weight_MT)
        self.state = {"last": self.last_MT, "factor": self.factor_MT}

    def weigh(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        return self.given.weight_MT * self.factor_MT

    def close_epoch(self, mean_MT: Tensor) -> None:
        ratio_MT = mean_MT / self.last_MT
        if torch.isfinite(self.last_MT).any():
            ratio_MT = ratio_MT.where(ratio_MT.isfinite(), 1.0)
            self.factor_MT.copy_(ratio_MT.shape[1] * torch.softmax(ratio_MT / TEMPERATURE, dim=1))
        self.last_MT.copy_(mean_MT.where(mean_MT.isfinite(), self.last_MT))
