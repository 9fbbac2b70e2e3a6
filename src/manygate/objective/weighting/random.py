"""Random weights: Lin et al., "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning", TMLR 2022."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import Seen, Weighting
from manygate.randomness import WEIGHTING, normal_noise


@final
class RandomWeights(Weighting):
    """lambda = T softmax(z), z standard normal, drawn anew for each step and member from a stream of its own.

    What a method must beat to say that its choice of weights matters. Departure: times T, so that the weights sum to T, as with
    ``fixed``, and a learning rate means the same; the paper's sum to 1. The fixed weight multiplies lambda.
    """

    def weigh(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        tasks, device = loss_MT.shape[1], loss_MT.device
        z_MT = torch.stack([normal_noise((tasks,), (WEIGHTING, *key, seen.step), device) for key in self.given.keys])
        return self.given.weight_MT * tasks * torch.softmax(z_MT, dim=1)
