"""CAGrad: Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021, algorithm 1."""

from typing import final

import numpy as np

from manygate.objective.weighting.base import Given
from manygate.objective.weighting.gramian import GramianWeighting, each, torchjd

SHORTEST = 1e-4
"""Of the worst direction, where the gradients' mean square is 1: below it no direction helps every task, and all weights are 0."""


@final
class CAGrad(GramianWeighting):
    """Near the mean gradient g_0, within c |g_0| of it, the direction in which the worst task gains most; c is ``cagrad_c``.

    It is g_0 + c |g_0| g_w / |g_w|, with w on the simplex at the least of g_w . g_0 + c |g_0| |g_w|: in closed form for two tasks,
    by TorchJD for more. Departure: times T / (1 + c), so that a learning rate means the same as with ``fixed``.
    """

    def __init__(self, given: Given):
        super().__init__(given)
        self.c = given.config.cagrad_c
        self.method = torchjd("CAGradWeighting", c=self.c)

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        found_mT = two_tasks(gramian_mTT, self.c) if len(tasks) == 2 else each(self.method, gramian_mTT)
        return len(tasks) / (1 + self.c) * found_mT


def two_tasks(gramian_mTT: np.ndarray, c: float) -> np.ndarray:
    """CAGrad's weights of two tasks.

    With w = (a, 1 - a), A = |g_1 - g_2|^2, u = (g_1 - g_2) . g_w, which is linear in a, and r = (g_1 - g_2) . g_0 / (c |g_0|), the
    derivative in a is 0 at u = -r |g_w|. As |g_w|^2 = (u^2 + det G) / A, that is u^2 = r^2 det G / (A - r^2); where r^2 >= A it
    has one sign, and a is at an end.

    >>> two_tasks(np.array([[[1.0, 0.0], [0.0, 1.0]]]), 0.5).tolist()
    [[0.75, 0.75]]
    """
    one, both, two = gramian_mTT[:, 0, 0], gramian_mTT[:, 0, 1], gramian_mTT[:, 1, 1]
    radius = c * np.sqrt(np.maximum(one + 2 * both + two, 0.0)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = one - 2 * both + two
        slope = (one - two) / 2 / radius
        inner = -np.sign(slope) * np.sqrt(slope**2 * np.maximum(one * two - both**2, 0.0) / (apart - slope**2))
        share = np.where(slope**2 < apart, (inner - both + two) / apart, slope < 0)
        share = np.where(np.isfinite(share), share, 0.5).clip(0.0, 1.0)
        w_m2 = np.stack([share, 1 - share], axis=1)
        length = np.sqrt(np.maximum(np.einsum("mi,mij,mj->m", w_m2, gramian_mTT, w_m2), 0.0))
        return np.where(length[:, None] > SHORTEST, 0.5 + (radius / length)[:, None] * w_m2, 0.0)
