"""This module computes what it would take to decide a task: more replicas, more test rows, or both."""

from __future__ import annotations

import math
from collections.abc import Sequence

from manygate.metrics.paired import ALPHA, halves
from manygate.metrics.table import metric_label
from manygate.metrics.uncertainty import t_quantile
from manygate.results.base import required
from manygate.results.comparison import Need, SizeNeed
from manygate.results.summary import JointGain
from manygate.text import listed

SIZES = {"auc": (0.002, 0.005, 0.01), "r2": (0.005, 0.01, 0.02)}
"""Sizes of a gain that may matter to a user, by main metric."""
FEASIBLE = 20
"""The paragraph proposes at most this many times the present replicas or test rows, if a larger difference would need fewer."""
MOST_REPLICAS = 10_000


def need(task: str, key: str, gain: JointGain, replicas: int, looks: int) -> Need:
    """Return the two parts of an undecided gain's joint half-width, and what would reduce it to each of :data:`SIZES`.

    The parts are those of the seeds and of the test rows.

    >>> gain = JointGain(
    ...     gain=0.0, ci95=None, sd_replicas=0.001, se_test=0.004, verdict="cannot tell", joint95=None, clusters=10_000
    ... )
    >>> need("click", "auc", gain, replicas=10, looks=1).sizes[0]
    SizeNeed(size=0.002, replicas=10, times_rows=17.6)
    """
    sd, se = required(gain.sd_replicas, "sd_replicas"), required(gain.se_test, "se_test")
    seeds, test = halves(sd, replicas, se, gain.clusters, looks)
    sizes = [enough(size, seeds, test, sd, replicas, looks) for size in SIZES[key]]
    return Need(task=task, metric=key, seeds=seeds, test=test, replicas=replicas, sizes=sizes)


def enough(size: float, seeds: float, test: float, sd: float, replicas: int, looks: int) -> SizeNeed:
    """Return the replicas (None: more than 10,000), and the factor for the test rows, that reduce a half-width to ``size``.

    If a part is at most size / sqrt(2), it stays as it is, and the other part is reduced so that their root sum of squares is
    ``size``. Otherwise both parts are reduced to size / sqrt(2). The standard error of the test rows is assumed to fall with the
    square root of their number.
    """
    even = size / math.sqrt(2)
    of_seeds, of_test = even, even
    if seeds <= even:
        of_seeds, of_test = seeds, math.sqrt(size**2 - seeds**2)
    elif test <= even:
        of_seeds, of_test = math.sqrt(size**2 - test**2), test
    count = replicas if seeds <= of_seeds else _replicas(sd, of_seeds, 1 - ALPHA / looks)
    return SizeNeed(size=size, replicas=count, times_rows=round(max((test / of_test) ** 2, 1.0), 1))


def _replicas(sd: float, goal: float, level: float) -> int | None:
    """Find by bisection the fewest replicas that give a half-width of at most ``goal``; None if over MOST_REPLICAS."""

    def too_wide(count: int) -> bool:
        return t_quantile(count - 1, level) * sd / math.sqrt(count) > goal

    low, high = 1, MOST_REPLICAS
    if too_wide(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if too_wide(middle) else (low, middle)
    return high


def need_words(needs: Sequence[Need]) -> str:
    """Write what it would take to know the gains of the two tasks with the widest intervals better.

    An interval that contains 0 reaches at most twice its half-width from it.
    """
    wide = [need for need in needs if 2 * math.hypot(need.seeds, need.test) > need.sizes[0].size]
    if not wide:
        return "If there is a difference, it is too small to matter." if needs else ""
    widest = sorted(wide, key=lambda need: -math.hypot(need.seeds, need.test))[:2]
    return " ".join(_takes(need) for need in widest)


def _takes(need: Need) -> str:
    """Write what it would take to narrow the interval to the smallest size that is in reach, or else to the largest size."""
    size = next((size for size in need.sizes if _in_reach(size, need.replicas)), need.sizes[-1])
    parts = []
    if size.replicas is None:
        parts.append(f"more than {MOST_REPLICAS:,} replicas")
    elif size.replicas > need.replicas:
        parts.append(f"{size.replicas:,} replicas instead of {need.replicas}")
    if size.times_rows > 1:
        parts.append(f"{size.times_rows:,.{0 if size.times_rows >= 10 else 1}f} times the test rows")
    within = f"to within ±{size.size:g} in {metric_label(need.metric)}"
    if not parts:
        return f"The gain on {need.task} is known {within}."
    return f"To know the gain on {need.task} {within} takes {listed(parts)}."


def _in_reach(size: SizeNeed, replicas: int) -> bool:
    return size.replicas is not None and size.replicas <= FEASIBLE * replicas and size.times_rows <= FEASIBLE
