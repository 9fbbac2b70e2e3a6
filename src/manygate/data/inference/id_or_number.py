"""Tells from the values of a column of whole numbers alone whether they look like ids.

An amount has an order: values side by side are about equally frequent, and people round it. Ids have none: one is popular and the
next is not, or each occurs about as often as any other. benchmarks/results has what the rule says on real tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

FEWEST_ROWS, FEWEST_VALUES = 200, 21
"""With less than that nothing can be told."""
NEIGHBOURS = 3
"""So many values on either side say how frequent a value would be if the order meant something."""
EVEN = 0.05
"""The largest distance of the rows' distribution from a straight line over the range (as in Kolmogorov's test)."""
EVEN_ROWS = 500
"""Of fewer rows an uneven distribution may look even by chance."""


@dataclass(frozen=True)
class Counts:
    """How often each value occurs, in the order of the values."""

    values: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, numbers: np.ndarray) -> Counts:
        """Count the known numbers, without 0 and -1: these often stand for a missing id."""
        known = numbers[np.isfinite(numbers)]
        return cls(*np.unique(known[(known != 0) & (known != -1)], return_counts=True))

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def fill(self) -> float:
        """The share of the whole numbers of the range that occur."""
        return len(self.values) / float(self.values[-1] - self.values[0] + 1)

    def is_even(self) -> bool:
        """True where the rows spread evenly over the range."""
        low, high = self.values[0], self.values[-1]
        below = (np.cumsum(self.counts) - self.counts / 2) / self.rows
        line = (self.values - low + 0.5) / (high - low + 1)
        return self.rows >= EVEN_ROWS and float(np.abs(below - line).max()) < EVEN

    def is_rounded(self) -> bool:
        """True where a last digit is more frequent than chance allows: people and prices round."""
        weight = np.sqrt(self.counts)  # a few very frequent values do not decide alone
        digit = np.abs(self.values) % 10
        shares = np.bincount(digit.astype(int), weights=weight, minlength=10) / weight.sum()
        by_chance = 3 / np.sqrt(len(self.values))
        fives = shares[0] + shares[5]
        return bool(shares.max() > max(0.25, 0.1 + 0.3 * by_chance) or fives > max(0.32, 0.2 + 0.4 * by_chance))


def why_ids(numbers: np.ndarray) -> str | None:
    """What makes whole numbers look like ids, in words; None where they look like amounts or too little is known.

    >>> generator = np.random.default_rng(0)
    >>> why_ids(generator.integers(1, 500, 20_000).astype(float))
    'all values are about equally frequent'
    >>> why_ids(generator.poisson(50, 20_000).astype(float)) is None
    True
    """
    if _is_inexact(numbers):
        return None
    seen = Counts.of(numbers)
    if seen.rows < FEWEST_ROWS or len(seen.values) < FEWEST_VALUES or seen.values[0] < 0 or seen.is_rounded():
        return None
    expected = _around(seen.counts)
    mean = seen.rows / len(seen.values)
    excess = (seen.counts - expected) ** 2 / np.maximum(expected, 0.5) / (1 + 1 / (2 * NEIGHBOURS))
    dispersion = float(excess[2:-2].mean())
    if (dispersion >= 3 and _disorder(seen.counts) >= 0.6) or _varies(seen.counts, expected, excess):
        return "a value's frequency says nothing about that of the next one"
    if (mean >= 2 and dispersion < 0.3 * _dispersion_by_chance(mean)) or (seen.is_even() and dispersion < 3):
        return "all values are about equally frequent"
    return None


def names_rows(numbers: np.ndarray) -> bool:
    """True for whole numbers that differ in every row and fill their range, in any order: they number the rows.

    >>> names_rows(np.random.default_rng(0).permutation(300) + 7.0), names_rows(np.arange(300.0) ** 2)
    (True, False)
    """
    values = np.unique(numbers[np.isfinite(numbers)])
    if _is_inexact(numbers) or len(values) < 50 or len(values) < np.isfinite(numbers).sum():
        return False
    seen = Counts(values, np.ones(len(values)))
    return seen.fill > 0.95 or seen.is_even()


def once_each(numbers: np.ndarray, entity: np.ndarray) -> np.ndarray | None:
    """The number of each entity once, where every entity has one number; None where some entity has several.

    The age of a user, counted over a log, is as uneven as the users' activity; counted over users it is not.
    """
    order = np.lexsort((numbers, entity))
    entity, numbers = entity[order], numbers[order]
    is_first = np.append(True, entity[1:] != entity[:-1])
    if (numbers[1:] != numbers[:-1])[~is_first[1:]].any():
        return None
    return numbers[is_first]


def _is_inexact(numbers: np.ndarray) -> bool:
    """True where some numbers are so large that float64 skips whole numbers."""
    return bool((np.abs(numbers) > 2.0**53).any())


def _around(counts: np.ndarray) -> np.ndarray:
    """The mean count of the values on either side of each."""
    size = len(counts)
    padded = np.pad(counts.astype(float), NEIGHBOURS, mode="reflect")
    windows = [padded[NEIGHBOURS + step : NEIGHBOURS + step + size] for step in range(-NEIGHBOURS, NEIGHBOURS + 1) if step]
    return np.mean(windows, axis=0)


def _disorder(counts: np.ndarray) -> float:
    """Von Neumann's ratio of the ranks of the counts (Bartels 1982): about 1 without an order, near 0 with one."""
    rank = rankdata(counts)
    spread = float(((rank - rank.mean()) ** 2).sum())
    return 0.0 if spread == 0 else float((np.diff(rank) ** 2).sum() / 2 / spread)


def _varies(counts: np.ndarray, expected: np.ndarray, excess: np.ndarray) -> bool:
    """True where neighbours differ by more than half of their mean, most of them, however popularity drifts with the id."""
    chance_median = 0.455  # of chi-squared with one degree of freedom
    beyond_chance = ((counts - expected) ** 2 - expected * (1 + 1 / (2 * NEIGHBOURS)))[1:-1].mean()
    relative = float(np.sqrt(max(beyond_chance, 0.0)) / counts.mean())
    return float(np.median(excess)) >= 5 * chance_median and relative >= 0.6


def _dispersion_by_chance(mean: float) -> float:
    """Variance over mean of counts that are Poisson and at least 1."""
    rate = mean
    for _ in range(50):
        rate = mean * (1 - np.exp(-rate))
    return float(1 + rate - mean)
