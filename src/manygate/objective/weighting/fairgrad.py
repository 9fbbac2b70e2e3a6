"""FairGrad: Ban & Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, equation 4."""

from typing import final

import numpy as np

from manygate.objective.weighting.gramian import GramianWeighting

FAIRNESS = 2.0
RIDGE = 1e-4
"""Added to the diagonal, which is about 1: of opposed gradients there is no solution otherwise. It bounds a weight by about 100."""


@final
class FairGrad(GramianWeighting):
    """The weights with (G w)_k = w_k^(-1/2): the gain of each task, (G w)_k, weighs in as alpha-fairness with alpha 2 says.

    Departure: solved to rounding by Newton's method, for all members at once; the paper calls a solver for least squares.
    """

    equalises = True

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return fair_weights(gramian_mTT, FAIRNESS)


def fair_weights(gramian_mTT: np.ndarray, alpha: float, steps: int = 50) -> np.ndarray:
    """The positive w with G w = w^(-1 / alpha), one row a Gramian, by Newton's method in log w.

    It is the minimum of w' G w / 2 + sum_k phi(w_k) with phi' = -w^(-1 / alpha), which is convex, and has one solution. Steps are
    held to a factor of e.

    >>> fair_weights(np.array([[[4.0, 0.0], [0.0, 1.0]]]), 1.0).round(3).tolist()
    [[0.5, 1.0]]
    """
    gramian_mTT = gramian_mTT + RIDGE * np.eye(gramian_mTT.shape[-1])
    log_mT = -np.log(np.diagonal(gramian_mTT, axis1=1, axis2=2)) * alpha / (1 + alpha)
    for _ in range(steps):
        w_mT = np.exp(log_mT)
        right_mT = w_mT ** (-1 / alpha)
        slope_mTT = gramian_mTT * w_mT[:, None, :]
        rest_mT = slope_mTT.sum(axis=2) - right_mT
        diagonal = np.arange(w_mT.shape[1])
        slope_mTT[:, diagonal, diagonal] += right_mT / alpha
        change_mT = np.linalg.solve(slope_mTT, rest_mT[..., None])[..., 0]
        size_m1 = np.abs(change_mT).max(axis=1, keepdims=True)
        log_mT -= change_mT / np.maximum(size_m1, 1.0)
        if size_m1.max() < 1e-10:
            break
    return np.exp(log_mT)
