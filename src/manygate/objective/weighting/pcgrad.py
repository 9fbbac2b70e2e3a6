"""PCGrad: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, algorithm 1; by TorchJD."""

from typing import final

import numpy as np
import torch

from manygate.objective.weighting.base import Given
from manygate.objective.weighting.gramian import GramianWeighting, torchjd
from manygate.randomness import WEIGHTING, stream_seed


@final
class PCGrad(GramianWeighting):
    """Each task's gradient, projected off those that it conflicts with, one after the other in a random order; their sum.

    The order comes from a stream of each member's own; the global random state is put back.
    """

    def __init__(self, given: Given):
        super().__init__(given)
        self.method = torchjd("PCGradWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        found = []
        with torch.random.fork_rng(devices=[]):
            for m, gramian_TT in zip(members, torch.from_numpy(gramian_mTT), strict=True):
                torch.default_generator.manual_seed(stream_seed(WEIGHTING, *self.given.keys[m], step))
                found.append(self.method(gramian_TT).numpy())
        return np.stack(found)
