"""MGDA: Désidéri 2012; Sener & Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018, algorithm 2; by
TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import Given
from manygate.objective.weighting.gramian import GramianWeighting, each, torchjd


@final
class MGDA(GramianWeighting):
    """The shortest convex combination of the gradients, times T: a direction in which no loss rises."""

    equalises = True

    def __init__(self, given: Given):
        super().__init__(given)
        self.method = torchjd("MGDAWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * each(self.method, gramian_mTT)
