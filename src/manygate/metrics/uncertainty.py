"""Standard errors, intervals and paired gains of metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from manygate.metrics.task import Floats, Kind, Weights, blocks, valid_rows, weighted_mean
from manygate.results.base import Interval
from manygate.results.summary import Gain, MetricSummary, Verdict

MANY = 10_000
"""With this many clusters or more, Student's t is close enough to the normal distribution."""
FEWEST_REPLICAS = 3
"""The smallest number of replicas with an interval."""


def influence(kind: Kind, label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights = None) -> Floats:
    """Return the influence of each row on the main metric (AUC or R2), divided by the number of rows; ``(N,)`` with a sum of 0.

    ``sqrt(sum(influence ** 2))`` is the metric's sampling standard error. For the difference of two models, subtract their
    influences first. AUC: the structural components of DeLong, DeLong & Clarke-Pearson (1988), in O(N log N) as in Sun & Xu (2014),
    with weights and ties. Their factor n / (n - 1) of each class is left out; it matters below some 30 rows of a class. R2: the
    influence function of ``1 - MSE / variance``. Masked rows have 0. Other rows have NaN if the metric is undefined or a class has
    only one row.

    >>> influence("binary", [0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8]).tolist()
    [0.125, -0.125, -0.125, 0.125]
    """
    influence_N = np.zeros(np.size(label_N))
    label, score, weight, row = valid_rows(kind, label_N, score_N, weight_N, np.arange(influence_N.size))
    influence_N[row] = {"binary": _auc_influence, "regression": _r2_influence}[kind](label, score, weight)
    return influence_N


def _auc_influence(label_N: Floats, score_N: Floats, weight_N: Floats) -> Floats:
    if min(np.count_nonzero(label_N == 1), np.count_nonzero(label_N == 0)) < 2:
        return np.full_like(label_N, np.nan)
    positive_B, negative_B, block_N = blocks(label_N, score_N, weight_N)
    positive, negative = positive_B.sum(), negative_B.sum()
    below_B = (np.cumsum(negative_B) - negative_B / 2) / negative  # share of the negatives that a positive here beats
    above_B = 1 - (np.cumsum(positive_B) - positive_B / 2) / positive  # share of the positives that beat a negative here
    component_N = np.where(label_N == 1, below_B[block_N], above_B[block_N])
    return weight_N * (component_N - np.sum(positive_B * below_B) / positive) / np.where(label_N == 1, positive, negative)


def _r2_influence(label_N: Floats, score_N: Floats, weight_N: Floats) -> Floats:
    if label_N.size == 0 or label_N.min() == label_N.max():
        return np.full_like(label_N, np.nan)
    error_N, spread_N = (label_N - score_N) ** 2, (label_N - weighted_mean(label_N, weight_N)) ** 2
    mse, variance = weighted_mean(error_N, weight_N), weighted_mean(spread_N, weight_N)
    return weight_N / weight_N.sum() * (mse / variance * spread_N - error_N) / variance


def standard_error(influence_N: ArrayLike, group_N: ArrayLike | None = None) -> float:
    """Return the standard error of a metric, or of a difference of metrics, from its influence values.

    Rows of one group (a user) depend on each other, so their influences are added before squaring (clusters: Obuchowski 1997).
    Without ``group_N`` every row is a group. The variance has the factor ``G / (G - 1)``. ``G`` counts the groups with an influence
    other than 0, because masked rows have 0. The result is NaN with one group. It is 0 if every influence is 0, as for a model
    compared with itself.

    >>> round(standard_error([0.3, -0.3, 0.0]), 4), round(standard_error([0.1, 0.2, -0.1, -0.2], [5, 5, 6, 6]), 4)
    (0.6, 0.6)
    """
    total_G = _cluster_sums(influence_N, group_N)
    if total_G.size < 2:
        return math.nan if total_G.size else 0.0
    return math.sqrt(np.sum(total_G**2) * total_G.size / (total_G.size - 1))


def cluster_count(influence_N: ArrayLike, group_N: ArrayLike | None = None) -> int:
    """Return the number of groups (or rows, without ``group_N``) with an influence other than 0: ``G`` in :func:`standard_error`.

    >>> cluster_count([0.1, 0.2, -0.3, 0.0], [5, 5, 6, 7])
    2
    """
    return int(_cluster_sums(influence_N, group_N).size)


def _cluster_sums(influence_N: ArrayLike, group_N: ArrayLike | None) -> Floats:
    value = np.asarray(influence_N, dtype=np.float64)
    counts = value != 0
    group = np.arange(value.size) if group_N is None else np.asarray(group_N)
    sums: Floats = np.bincount(np.unique(group[counts], return_inverse=True)[1], value[counts]).astype(np.float64)
    return sums


@cache
def t_quantile(df: int, level: float = 0.95) -> float:
    """Return t such that the share ``level`` of Student's t distribution with ``df`` degrees of freedom is between -t and t.

    >>> round(t_quantile(4), 6), round(t_quantile(9, 0.99), 6)
    (2.776445, 3.249836)
    """
    from scipy.special import stdtrit  # scipy.stats.t.ppf calls it; scipy.stats takes most of a second to import

    return float(stdtrit(df, (1 + level) / 2))


def interval_note(replicas: int) -> str | None:
    """Return the reason why there is no interval over so few replicas. Return None if there are enough.

    >>> interval_note(2), interval_note(3)
    ('3 or more replicas are needed for an interval, and there are 2.', None)
    """
    if replicas >= FEWEST_REPLICAS:
        return None
    there_are = "there is 1" if replicas == 1 else f"there are {replicas}"
    return f"{FEWEST_REPLICAS} or more replicas are needed for an interval, and {there_are}."


def bounded(low: float, high: float, lowest: float, highest: float) -> Interval:
    """Return the interval from ``low`` to ``high`` without the part outside the range from ``lowest`` to ``highest``.

    >>> bounded(0.9, 1.2, lowest=0.0, highest=1.0)
    (0.9, 1.0)
    """
    return max(low, lowest), min(high, highest)


def interval(values: Sequence[float], lowest: float = -math.inf, highest: float = math.inf) -> MetricSummary:
    """Return the mean, the standard deviation (n - 1) and the 95 % interval (Student's t) over replicas.

    Fewer than 3 values have no interval. With 2 values t is 12.7, and the interval would depend on chance alone. The interval stays
    within ``lowest`` to ``highest``, the range of the metric. This does not reduce its coverage. One value has no standard
    deviation. A NaN among the values becomes None, and then mean, standard deviation and interval are None.

    >>> interval([1.0, 2.0, 3.0]).mean, interval([1.0, math.nan])
    (2.0, MetricSummary(mean=None, sd=None, ci95=None, values=[1.0, None]))
    """
    value_R = np.asarray(values, dtype=np.float64)
    mean, sd, ci95 = None, None, None
    if value_R.size and np.isfinite(value_R).all():
        mean = float(value_R.mean())
        if value_R.size > 1:
            sd = float(value_R.std(ddof=1))
            if value_R.size >= FEWEST_REPLICAS:
                half = t_quantile(value_R.size - 1) * sd / math.sqrt(value_R.size)
                ci95 = bounded(mean - half, mean + half, lowest, highest)
    known = [float(value) if math.isfinite(value) else None for value in value_R]
    return MetricSummary(mean=mean, sd=sd, ci95=ci95, values=known)


def paired_gain(gain_R: Sequence[float], se_test: float, clusters: int = MANY, largest: float = math.inf) -> Gain:
    """Compare two models: Return the mean paired gain, its 95 % interval over seeds and test rows, and a verdict.

    ``gain_R`` is the gain of each replica (same seed, split and rows for both models). It is positive if the model is better.
    ``se_test`` is the standard error of the gain over test rows (:func:`standard_error` of the difference of influences), from
    ``clusters`` rows or groups. The half-width is ``sqrt((t_R-1 * sd / sqrt(R)) ** 2 + (t_clusters-1 * se_test) ** 2)`` (Zou &
    Donner 2008).

    Both parts are needed. The replicas share their test rows, so their spread contains the chance of initial weights and dropout,
    but not the chance of the sample. The standard error of one run contains the chance of the sample alone. Chance in both parts
    counts twice, so "cannot tell" is more frequent than necessary. With fewer than 3 replicas the first part is unknown. The
    verdict is then "cannot tell", and ``reason`` explains it. No gain is larger than ``largest``, and the interval ends there. Each
    verdict alone has the level 95 %. There is no correction for many comparisons.

    >>> paired_gain([0.010, 0.012, 0.011], se_test=0.001).verdict
    'helps'
    >>> paired_gain([0.010, 0.012], se_test=0.001).reason
    '3 or more replicas are needed for an interval, and there are 2.'
    """
    seeds, known_se = interval(gain_R), math.isfinite(se_test)
    ci95: Interval | None = None
    verdict: Verdict = "cannot tell"
    reason = interval_note(len(gain_R)) if seeds.mean is not None else "The gain is undefined on the test rows."
    if reason is None and not known_se:
        reason = "The standard error of the gain is undefined on the test rows."
    if seeds.mean is not None and seeds.ci95 and known_se:
        half = math.hypot(seeds.ci95[1] - seeds.mean, t_quantile(max(min(clusters, MANY) - 1, 1)) * se_test)
        ci95 = bounded(seeds.mean - half, seeds.mean + half, -largest, largest)
        verdict = "helps" if ci95[0] > 0 else "hurts" if ci95[1] < 0 else verdict
    se = float(se_test) if known_se else None
    return Gain(gain=seeds.mean, ci95=ci95, sd_replicas=seeds.sd, se_test=se, verdict=verdict, reason=reason)
