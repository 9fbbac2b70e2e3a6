"""Aligned-MTL: Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023; by TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import Given
from manygate.objective.weighting.gramian import GramianWeighting, each, torchjd


@final
class AlignedMTL(GramianWeighting):
    """The mean of the gradients after their principal components are made orthogonal and of equal, the least, length; times T."""

    equalises = True

    def __init__(self, given: Given):
        super().__init__(given)
        self.method = torchjd("AlignedMTLWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * each(self.method, gramian_mTT)
