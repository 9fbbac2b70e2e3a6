"""FairGrad: Ban & Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, equation 4."""

from typing import final

import numpy as np

from manygate.objective.weighting.gramian import GramianWeighting

FAIRNESS = 2.0
RIDGE = 1e-4
"""This number is added to the Gramian's diagonal, which is about 1. Without it, opposed gradients would have no solution. It bounds
a weight by about 100."""


@final
class FairGrad(GramianWeighting):
    """Finds the weights with (G w)_k = w_k^(-1/2). They are alpha-fair with alpha 2, where (G w)_k is the gain of task k.

    Departure: Newton's method solves the equation to rounding, for all members at once. The paper uses a least-squares solver.
    """

    equalises = True

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        return fair_weights(gramian_mTT, FAIRNESS)


def fair_weights(gramian_mTT: np.ndarray, alpha: float, steps: int = 50) -> np.ndarray:
    """Return the positive w with G w = w^(-1 / alpha), (m, T), by Newton's method in log w.

    w minimises w' G w / 2 + sum_k phi(w_k) with phi' = -w^(-1 / alpha). This function is convex and has one minimum. A step changes
    a weight by a factor of at most e.

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
