"""UPGrad: Quinton & Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, definition 4; by TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import Given
from manygate.objective.weighting.gramian import GramianWeighting, each, torchjd


@final
class UPGrad(GramianWeighting):
    """Each gradient projected onto the directions in which no loss rises, and the mean of these, times T."""

    def __init__(self, given: Given):
        super().__init__(given)
        self.method = torchjd("UPGradWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * each(self.method, gramian_mTT)
