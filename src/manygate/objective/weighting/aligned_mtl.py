"""Aligned-MTL: Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023; by TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import WeightingSetup
from manygate.objective.weighting.gramian import GramianWeighting, solve_each, torchjd


@final
class AlignedMTL(GramianWeighting):
    """Makes the gradients' principal components orthogonal and of equal length, and takes the mean of the gradients times T.

    The common length is the least length of a principal component.
    """

    equalises = True

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.method = torchjd("AlignedMTLWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * solve_each(self.method, gramian_mTT)
