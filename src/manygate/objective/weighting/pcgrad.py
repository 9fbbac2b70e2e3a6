"""PCGrad: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, algorithm 1; by TorchJD."""

from typing import final

import numpy as np
import torch

from manygate.objective.weighting.base import WeightingSetup
from manygate.objective.weighting.gramian import GramianWeighting, torchjd
from manygate.randomness import WEIGHTING, stream_seed


@final
class PCGrad(GramianWeighting):
    """Removes from each task's gradient the parts that conflict with other gradients, and sums the results.

    The other gradients are taken one after the other in a random order. The order comes from each member's own stream. The global
    random state is restored.
    """

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.method = torchjd("PCGradWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        weights = []
        with torch.random.fork_rng(devices=[]):
            for m, gramian_TT in zip(members, torch.from_numpy(gramian_mTT), strict=True):
                torch.default_generator.manual_seed(stream_seed(WEIGHTING, *self.setup.keys[m], step))
                weights.append(self.method(gramian_TT).numpy())
        return np.stack(weights)
