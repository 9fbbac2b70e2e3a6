"""This module computes the power of a comparison: how often it finds a gain of a given size."""

from __future__ import annotations

import math

import numpy as np

from manygate.metrics.paired import half_width
from manygate.metrics.uncertainty import MANY, t_quantile

FEWEST_TO_JUDGE = 100
"""With fewer rows of the rarer label an AUC of 0.6 is known to about 0.06 at best, and a task cannot be judged."""
QUANTILES = 2_000
"""The expectation over the standard deviation is the mean over so many of its quantiles."""


def auc_known_to(rarer: int) -> float:
    """Return about the half-width of the 95 % interval of an AUC of 0.6, with so many rows of the rarer label and many others.

    It is that of normal scores (:func:`manygate.metrics.influence`). An AUC of 0.5 is known no better, one of 0.8 to three quarters
    of it and one of 0.9 to half of it.

    >>> auc_known_to(49)
    0.08
    """
    return 0.56 / math.sqrt(max(rarer, 1))


def power(size: float, sd: float, replicas: int, se: float, clusters: int, looks: int = 1) -> float:
    """Return the probability that the whole interval of a gain lies above zero, if the true gain is ``size``.

    The measured gain is normal around ``size`` with variance ``sd**2 / replicas + se**2``. The standard deviation that is measured
    over the replicas varies, too: its square is ``sd**2`` times chi-square over its degrees of freedom, independent of the gain.
    The error ``se`` of the test rows is taken as known. Without it the power is that of a t test, by the noncentral t distribution.

    Args:
        size: The true gain.
        sd: The standard deviation of the gain over replicas.
        replicas: The number of replicas, at least 2.
        se: The standard error of the gain over test rows.
        clusters: The number of rows or groups behind ``se``.
        looks: The number of gains that are looked at together, as in :func:`manygate.metrics.paired.gain`.

    >>> round(power(0.01, sd=0.01, replicas=3, se=0.0, clusters=10_000), 3), round(power(0.0, 0.01, 3, 0.004, 10_000), 3)
    (0.179, 0.015)
    """
    from scipy.special import chdtri, ndtr  # scipy.stats takes most of a second to import

    share_Q = (np.arange(QUANTILES) + 0.5) / QUANTILES
    measured_Q = sd * np.sqrt(chdtri(replicas - 1, 1 - share_Q) / (replicas - 1))
    level = 1 - 0.05 / looks
    seeds_Q = t_quantile(replicas - 1, level) * measured_Q / math.sqrt(replicas)
    half_Q = np.hypot(seeds_Q, t_quantile(max(min(clusters, MANY) - 1, 1), level) * se)
    spread = math.hypot(sd / math.sqrt(replicas), se)
    if spread == 0:
        return float(size > 0)
    return float(np.mean(ndtr((size - half_Q) / spread)))


def size_found(share: float, sd: float, replicas: int, se: float, clusters: int, looks: int = 1) -> float:
    """Return the true gain that is found with probability ``share``, by bisection.

    >>> size = size_found(0.8, sd=0.01, replicas=5, se=0.003, clusters=10_000)
    >>> round(power(size, 0.01, 5, 0.003, 10_000), 3)
    0.8
    """
    low, high = 0.0, 2 * half_width(sd, replicas, se, clusters, looks) + 1e-12
    while power(high, sd, replicas, se, clusters, looks) < share:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, sd, replicas, se, clusters, looks) < share else (low, middle)
    return high
