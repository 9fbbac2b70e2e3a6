"""Points that no other beats in every task, the volume that they dominate, and fixed weights that spread over a front.

Shape suffixes: P points, T tasks. Higher is better in every task.
"""

from __future__ import annotations

import numpy as np

WIDEST = 16.0
"""A sweep's largest ratio of one task's weight to another's, for two tasks."""


def non_dominated(point_PT: np.ndarray) -> np.ndarray:
    """True for each point that no other equals or beats in every task and beats in one; points that are not finite are out.

    >>> non_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist()
    [True, True, False, True]
    """
    finite_P = np.isfinite(point_PT).all(axis=1)
    other_P1T, one_1PT = point_PT[:, None], point_PT[None]
    with np.errstate(invalid="ignore"):
        beaten_P = ((other_P1T >= one_1PT).all(axis=2) & (other_P1T > one_1PT).any(axis=2)).any(axis=0)
    kept_P: np.ndarray = finite_P & ~beaten_P
    return kept_P


def hypervolume(point_PT: np.ndarray, reference_T: np.ndarray) -> float:
    """The volume between a reference point and the points that beat it in every task, exact for any number of tasks.

    While, Bradstreet & Barone, "A Fast Way of Calculating Exact Hypervolumes", IEEE TEC 2012: each point adds its box, less what
    the points after it cover of that box.

    >>> hypervolume(np.array([[2.0, 1.0], [1.0, 3.0]]), np.zeros(2))
    4.0
    """
    inside_PT = point_PT[(point_PT > reference_T).all(axis=1)] - reference_T
    inside_PT = np.unique(inside_PT[non_dominated(inside_PT)], axis=0)[::-1]
    return float(sum(_added(inside_PT[p], inside_PT[p + 1 :]) for p in range(len(inside_PT))))


def _added(point_T: np.ndarray, after_PT: np.ndarray) -> float:
    """The volume that a point covers and the points after it do not, all from the origin."""
    shared_PT = np.minimum(after_PT, point_T)
    return float(point_T.prod() - (hypervolume(shared_PT, np.zeros_like(point_T)) if len(shared_PT) else 0.0))


def weight_vectors(tasks: int, count: int) -> np.ndarray:
    """``count`` vectors of positive weights, each of sum T; equal weights are among them, and the same call gives the same ones.

    Two tasks: ratios on a geometric grid from 1/16 to 16 (for an even count the last is left out, so that 1 is on it). More:
    the logarithms of the weights are points of the additive recurrence of Roberts ("The Unreasonable Effectiveness of Quasirandom
    Sequences", 2018) in the cube, of the same spread, after equal weights.

    >>> weight_vectors(2, 3).round(3).tolist()
    [[0.118, 1.882], [1.0, 1.0], [1.882, 0.118]]
    """
    if tasks == 2:
        half_P = 0.5 * (np.arange(count) - count // 2) / max(count // 2, 1)
        log_PT = np.log(WIDEST) * np.stack([half_P, -half_P], axis=1)
    else:
        root = 2.0
        for _ in range(64):  # the positive root of x^(T + 1) = x + 1
            root = (1.0 + root) ** (1.0 / (tasks + 1))
        place_PT = (0.5 + np.arange(count)[:, None] / root ** np.arange(1, tasks + 1)) % 1.0
        log_PT = np.log(WIDEST) * (place_PT - 0.5)  # the first is the middle of the cube: equal weights
    weight_PT: np.ndarray = np.exp(log_PT)
    return weight_PT * tasks / weight_PT.sum(axis=1, keepdims=True)
