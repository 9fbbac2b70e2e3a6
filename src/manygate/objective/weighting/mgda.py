"""MGDA: Désidéri 2012; Sener & Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018, algorithm 2."""

from typing import final

import numpy as np

from manygate.objective.weighting.gramian import GramianWeighting

RIDGE = 1e-9
"""This number is added to the Gramian's diagonal, which is about 1. If several combinations are equally short, as with equal
gradients, the weights are then as equal as they can be."""
TOLERANCE = 1e-12
MOST_SETS = 50
"""The largest number of sets for each task. Rounding could otherwise make the method go on for ever."""


@final
class MGDA(GramianWeighting):
    """Finds the shortest convex combination of the gradients and multiplies it by T. No loss rises in this direction.

    Departure: The problem is solved exactly. For more than two tasks the paper takes steps of Frank-Wolfe, which get near the
    solution slowly.
    """

    equalises = True

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        gramian_mTT = gramian_mTT + RIDGE * np.eye(len(tasks))
        if len(tasks) == 2:
            return 2 * shortest_of_two(gramian_mTT)
        return len(tasks) * np.stack([shortest(gramian_TT) for gramian_TT in gramian_mTT])


def shortest_of_two(gramian_mTT: np.ndarray) -> np.ndarray:
    """Return the weights (m, 2) of the shortest convex combinations of two gradients.

    >>> shortest_of_two(np.array([[[1.0, 0.0], [0.0, 4.0]]])).round(6).tolist()
    [[0.8, 0.2]]
    """
    first, inner, second = gramian_mTT[:, 0, 0], gramian_mTT[:, 0, 1], gramian_mTT[:, 1, 1]
    share_m = ((second - inner) / (first - 2 * inner + second)).clip(0.0, 1.0)
    return np.stack([share_m, 1 - share_m], axis=1)


def shortest(gramian_TT: np.ndarray) -> np.ndarray:
    """Return the weights (T,) of the shortest convex combination of gradients whose Gramian is positive definite.

    Wolfe, "Finding the nearest point in a polytope", Mathematical Programming 1976: The method moves over sets of gradients. It
    goes to the shortest affine combination of the set, and drops the first gradient whose weight would fall below 0 on the way.
    Then it adds the gradient with the least inner product with the combination, and ends if no gradient has a smaller one than the
    combination itself. The combination gets shorter with each set, so no set comes twice.

    >>> shortest(np.diag([1.0, 2.0, 4.0])).round(4).tolist()
    [0.5714, 0.2857, 0.1429]
    """
    weight_T = np.zeros(len(gramian_TT))
    chosen = [int(gramian_TT.diagonal().argmin())]
    weight_T[chosen] = 1.0
    for _ in range(MOST_SETS * len(gramian_TT)):
        inner_T = gramian_TT @ weight_T
        entering = int(inner_T.argmin())
        if entering in chosen or inner_T[entering] >= weight_T @ inner_T - TOLERANCE:
            break
        chosen.append(entering)
        while True:
            goal_c = np.linalg.solve(gramian_TT[np.ix_(chosen, chosen)], np.ones(len(chosen)))
            goal_c /= goal_c.sum()
            falling_c = goal_c <= 0
            if not falling_c.any():
                break
            now_c = weight_T[chosen]
            part = (now_c[falling_c] / (now_c - goal_c)[falling_c]).min()
            weight_T[chosen] = now_c + part * (goal_c - now_c)
            chosen = [t for t in chosen if weight_T[t] > TOLERANCE]
            weight_T[[t for t in range(len(weight_T)) if t not in chosen]] = 0.0
        weight_T[:] = 0.0
        weight_T[chosen] = goal_c
    return weight_T
