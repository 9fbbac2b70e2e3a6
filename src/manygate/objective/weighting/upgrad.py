"""UPGrad: Quinton & Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, definition 4; by TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import WeightingSetup
from manygate.objective.weighting.gramian import GramianWeighting, solve_each, torchjd


@final
class UPGrad(GramianWeighting):
    """Projects each gradient onto the directions in which no loss rises, and takes the mean of the projections times T."""

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.method = torchjd("UPGradWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * solve_each(self.method, gramian_mTT)
