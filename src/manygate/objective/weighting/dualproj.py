"""DualProj: Lopez-Paz & Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017, section 3; by TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import Given
from manygate.objective.weighting.gramian import GramianWeighting, each, torchjd


@final
class DualProj(GramianWeighting):
    """The mean gradient projected onto the directions in which no loss rises, times T."""

    def __init__(self, given: Given):
        super().__init__(given)
        self.method = torchjd("DualProjWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * each(self.method, gramian_mTT)
