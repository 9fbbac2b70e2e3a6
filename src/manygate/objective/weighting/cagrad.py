"""CAGrad: Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021, algorithm 1."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import WeightingSetup
from manygate.objective.weighting.gramian import GramianWeighting, solve_each, torchjd

SHORTEST = 1e-4
"""The least length of the worst direction g_w, where the gradients' mean square is 1. If g_w is shorter, no direction helps every
task, and all weights are 0."""


@final
class CAGrad(GramianWeighting):
    """Finds the direction in which the worst task gains most, within a distance of c |g_0| from the mean gradient g_0.

    c is the setting ``cagrad_c``. The direction is g_0 + c |g_0| g_w / |g_w|. Here w lies on the simplex and minimises
    g_w . g_0 + c |g_0| |g_w|. For two tasks there is a closed form. TorchJD solves it for more tasks. Departure: The result is
    multiplied by T / (1 + c), so that a learning rate means the same as with ``fixed``.
    """

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.c = setup.config.cagrad_c
        self.method = torchjd("CAGradWeighting", c=self.c)

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        weight_mT = two_tasks(gramian_mTT, self.c) if len(tasks) == 2 else solve_each(self.method, gramian_mTT)
        return len(tasks) / (1 + self.c) * weight_mT


def two_tasks(gramian_mTT: np.ndarray, c: float) -> np.ndarray:
    """Return CAGrad's weights of two tasks, (m, 2), in closed form.

    Let w = (a, 1 - a), A = |g_1 - g_2|^2, u = (g_1 - g_2) . g_w and r = (g_1 - g_2) . g_0 / (c |g_0|). u is linear in a. The
    derivative of the objective by a is 0 at u = -r |g_w|. Since |g_w|^2 = (u^2 + det G) / A, this means
    u^2 = r^2 det G / (A - r^2). Where r^2 >= A, the derivative has one sign, and a is 0 or 1.

    >>> two_tasks(np.array([[[1.0, 0.0], [0.0, 1.0]]]), 0.5).tolist()
    [[0.75, 0.75]]
    """
    first, inner, second = gramian_mTT[:, 0, 0], gramian_mTT[:, 0, 1], gramian_mTT[:, 1, 1]
    radius = c * np.sqrt(np.maximum(first + 2 * inner + second, 0.0)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = first - 2 * inner + second
        slope = (first - second) / 2 / radius
        root = -np.sign(slope) * np.sqrt(slope**2 * np.maximum(first * second - inner**2, 0.0) / (distance - slope**2))
        share = np.where(slope**2 < distance, (root - inner + second) / distance, slope < 0)
        share = np.where(np.isfinite(share), share, 0.5).clip(0.0, 1.0)
        w_m2 = np.stack([share, 1 - share], axis=1)
        length = np.sqrt(np.maximum(np.einsum("mi,mij,mj->m", w_m2, gramian_mTT, w_m2), 0.0))
        return np.where(length[:, None] > SHORTEST, 0.5 + (radius / length)[:, None] * w_m2, 0.0)
