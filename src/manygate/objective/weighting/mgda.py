"""MGDA: Désidéri 2012; Sener & Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018, algorithm 2; by
TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import WeightingSetup
from manygate.objective.weighting.gramian import GramianWeighting, solve_each, torchjd


@final
class MGDA(GramianWeighting):
    """Finds the shortest convex combination of the gradients and multiplies it by T. No loss rises in this direction."""

    equalises = True

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.method = torchjd("MGDAWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * solve_each(self.method, gramian_mTT)
