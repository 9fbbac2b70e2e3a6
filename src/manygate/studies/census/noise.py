"""How much of a table of AUCs is chance: the luck of the best of many runs, and the width of a comparison."""

from __future__ import annotations

import numpy as np

from manygate.metrics.paired import half_width
from manygate.results.summary import JointGain

QUANTILES = 20_000
"""The expectation of the largest draw is the mean over so many quantiles of its distribution."""


def lift_of_best(runs: int) -> float:
    """Return the expected largest of so many standard normal draws: how many standard deviations the best run is above the mean.

    The largest of n draws has the distribution function Phi(x)^n, so its quantiles are those of Phi at u^(1/n).

    >>> round(lift_of_best(2), 3), round(lift_of_best(400), 2)
    (0.564, 2.97)
    """
    from scipy.special import ndtri  # scipy.stats takes most of a second to import

    u_Q = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return float(np.mean(ndtri(u_Q ** (1 / runs))))


def halves(gain: JointGain, counts: tuple[int, ...], looks: int) -> dict[str, float] | None:
    """Return half the width of a gain's joint interval with other numbers of runs, if both deviations stay as they are.

    None if the gain has no interval.
    """
    if gain.sd_replicas is None or gain.se_test is None:
        return None
    sd, se = gain.sd_replicas, gain.se_test
    return {str(count): half_width(sd, count, se, gain.clusters, looks) for count in counts}
