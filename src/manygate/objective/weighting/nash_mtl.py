"""Nash-MTL: Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, equation 3."""

from typing import final

import numpy as np

from manygate.objective.weighting.fairgrad import fair_weights
from manygate.objective.weighting.gramian import GramianWeighting


@final
class NashMTL(GramianWeighting):
    """Finds the bargaining solution G w = 1 / w. It is alpha-fair with alpha 1.

    Departure: The equation is solved to rounding in every step. The paper and TorchJD take a few steps of a sequence of convex
    programs.
    """

    equalises = True

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return fair_weights(gramian_mTT, 1.0)
