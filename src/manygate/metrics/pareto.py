"""Pareto fronts of points, hypervolumes, and fixed weights that spread the points of a sweep over a front.

Shape suffixes: P points, T tasks. Higher is better in every task.
"""

from __future__ import annotations

import numpy as np

WIDEST = 16.0
"""The largest ratio of one task's weight to another's in a sweep of two tasks."""


def non_dominated(point_PT: np.ndarray) -> np.ndarray:
    """Return true for each point of the Pareto front, (P,).

    A point is on the front if no other point is at least as good in every task and better in one. A point with a value that is not
    finite is not on the front.

    >>> non_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist()
    [True, True, False, True]
    """
    finite_P = np.isfinite(point_PT).all(axis=1)
    other_P1T, point_1PT = point_PT[:, None], point_PT[None]
    with np.errstate(invalid="ignore"):
        dominated_P = ((other_P1T >= point_1PT).all(axis=2) & (other_P1T > point_1PT).any(axis=2)).any(axis=0)
    front_P: np.ndarray = finite_P & ~dominated_P
    return front_P


def hypervolume(point_PT: np.ndarray, reference_T: np.ndarray) -> float:
    """Return the volume between a reference point and the points that are better in every task.

    The volume is exact for any number of tasks. While, Bradstreet & Barone, "A Fast Way of Calculating Exact Hypervolumes", IEEE
    TEC 2012: Each point adds the volume of its box, minus the part that the points after it cover.

    >>> hypervolume(np.array([[2.0, 1.0], [1.0, 3.0]]), np.zeros(2))
    4.0
    """
    inside_PT = point_PT[(point_PT > reference_T).all(axis=1)] - reference_T
    inside_PT = np.unique(inside_PT[non_dominated(inside_PT)], axis=0)[::-1]
    return float(sum(_added(inside_PT[p], inside_PT[p + 1 :]) for p in range(len(inside_PT))))


def _added(point_T: np.ndarray, after_PT: np.ndarray) -> float:
    """Return the volume between the origin and a point that the points after it do not cover."""
    shared_PT = np.minimum(after_PT, point_T)
    return float(point_T.prod() - (hypervolume(shared_PT, np.zeros_like(point_T)) if len(shared_PT) else 0.0))


def weight_vectors(tasks: int, count: int) -> np.ndarray:
    """Return ``count`` vectors of positive weights, (P, T). Each has the sum T.

    Equal weights are among them. The same call returns the same vectors. For two tasks, the ratios of the weights are on a
    geometric grid from 1/16 to 16. For an even count the last ratio is missing, so that the ratio 1 is on the grid. For more tasks,
    the first vector has equal weights. The logarithms of the other weights are points of the additive recurrence of Roberts ("The
    Unreasonable Effectiveness of Quasirandom Sequences", 2018) in a cube with the same range.

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
        point_PT = (0.5 + np.arange(count)[:, None] / root ** np.arange(1, tasks + 1)) % 1.0
        log_PT = np.log(WIDEST) * (point_PT - 0.5)  # the first point is the middle of the cube, so its weights are equal
    weight_PT: np.ndarray = np.exp(log_PT)
    return weight_PT * tasks / weight_PT.sum(axis=1, keepdims=True)
