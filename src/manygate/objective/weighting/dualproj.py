"""DualProj: Lopez-Paz & Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017, section 3; by TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import WeightingSetup
from manygate.objective.weighting.gramian import GramianWeighting, solve_each, torchjd


@final
class DualProj(GramianWeighting):
    """Projects the mean gradient onto the directions in which no loss rises, and multiplies it by T."""

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.method = torchjd("DualProjWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * solve_each(self.method, gramian_mTT)
