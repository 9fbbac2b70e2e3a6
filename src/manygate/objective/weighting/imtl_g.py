"""IMTL-G: Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.1; by TorchJD."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import Given
from manygate.objective.weighting.gramian import GramianWeighting, each, torchjd


@final
class IMTLG(GramianWeighting):
    """The sum of gradients that has the same projection on each of them, its weights summing to T. They may be negative."""

    equalises = True

    def __init__(self, given: Given):
        super().__init__(given)
        self.method = torchjd("IMTLGWeighting")

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return len(tasks) * each(self.method, gramian_mTT)
