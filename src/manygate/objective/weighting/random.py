"""Random weights: Lin et al., "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning", TMLR 2022."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import StepContext, Weighting
from manygate.randomness import WEIGHTING, normal_noise


@final
class RandomWeights(Weighting):
    """Draws lambda = T softmax(z) for each step and member, where z is standard normal from the member's own stream.

    It is a baseline: The choice of weights matters only if a method is better than random weights. Departure: The weights sum to T,
    as with ``fixed``, so that a learning rate means the same. In the paper they sum to 1. The fixed weight multiplies lambda.
    """

    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        tasks, device = loss_MT.shape[1], loss_MT.device
        z_MT = torch.stack([normal_noise((tasks,), (WEIGHTING, *key, context.step), device) for key in self.setup.keys])
        return self.setup.weight_MT * tasks * torch.softmax(z_MT, dim=1)
