"""IMTL-G: Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.1; by TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import WeightingSetup
from manygate.objective.weighting.gramian import GramianWeighting, solve_each, torchjd


@final
class IMTLG(GramianWeighting):
    """Combines the gradients so that the result has the same projection on each of them.

    The weights sum to T. They may be negative.
    """

    equalises = True

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.method = torchjd("IMTLGWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * solve_each(self.method, gramian_mTT)
