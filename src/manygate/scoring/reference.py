"""What the rows of a log looked like, in a few shares, and how far other rows are from it. Nothing here needs torch.

A distribution is a list of shares: of the bins of a number, or of the most frequent ids and the rest. The distance of two is the
population stability index,

    PSI = sum over bins of (q - p) ln(q / p),

p the shares before and q those now (Yurdakul & Naranjo, "Statistical properties of the population stability index", Journal of Risk
Model Validation 14(3), 2020, equation 1). It is the symmetric divergence of Kullback & Leibler ("On Information and Sufficiency",
1951, section 3). Scorecards call less than 0.1 stable, and more than 0.25 a shift (Siddiqi, "Credit Risk Scorecards", 2006).
Departure: a share counts as :data:`FLOOR` at least, since an empty bin would make the sum infinite.

Nulls are counted apart: the shares of bins and of ids are shares of what is not null.

Shape suffixes: N values, K bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manygate.data.rows import NULL_ROW, UNKNOWN_ROW

BINS, IDS = 10, 20
"""The most bins of a number, and the most ids with a share of their own."""
FLOOR = 1e-4
"""The least that a share counts as."""


@dataclass(frozen=True)
class Bins:
    """The bins of numbers, between rising cuts. A number on a cut is in the bin above it.

    >>> Bins((0.5, 2.0)).count(np.array([0.5, 1.0, 7.0, np.nan, np.inf])).tolist()
    [0, 2, 2]
    """

    cuts: tuple[float, ...]

    @classmethod
    def of(cls, value_N: np.ndarray) -> Bins:
        """Return bins that hold about as many values each: the cuts are deciles of the finite values, each once.

        >>> Bins.of(np.array([0.0, 0.0, 0.0, 1.0, 2.0])).cuts
        (1.0, 2.0)
        """
        finite_N = value_N[np.isfinite(value_N)]
        if not len(finite_N):
            return cls(())
        cuts = np.unique(np.quantile(finite_N, np.arange(1, BINS) / BINS, method="inverted_cdf"))
        return cls(tuple(cuts[cuts > finite_N.min()].tolist()))

    def count(self, value_N: np.ndarray) -> np.ndarray:
        """Return the number of values in each bin, (K,). NaN is in none."""
        known_N = value_N[~np.isnan(value_N)]
        return np.bincount(np.searchsorted(self.cuts, known_N, side="right"), minlength=len(self.cuts) + 1)


@dataclass(frozen=True)
class FrequentIds:
    """The rows of an embedding table that most values had, the most frequent first; the row of unseen ids may be among them.

    >>> FrequentIds((5, 2)).count(np.array([2, 5, 5, 9, 0])).tolist()
    [2, 1, 1]
    """

    rows: tuple[int, ...]

    @classmethod
    def of(cls, row_N: np.ndarray) -> FrequentIds:
        """Return the rows of the most frequent ids, :data:`IDS` at most. Nulls are no ids."""
        row_K, count_K = np.unique(row_N[row_N != NULL_ROW], return_counts=True)
        return cls(tuple(row_K[np.argsort(-count_K, kind="stable")[:IDS]].tolist()))

    def count(self, row_N: np.ndarray) -> np.ndarray:
        """Return how often each of these rows occurs, and last how often all other ids do, (K,)."""
        ids_N = row_N[row_N != NULL_ROW]
        own_K = [int(np.count_nonzero(ids_N == row)) for row in self.rows]
        return np.array([*own_K, len(ids_N) - sum(own_K)])


def shares(count_K: np.ndarray) -> np.ndarray:
    """Return counts as shares of their sum, (K,) float64. They are 0 if the sum is.

    >>> shares(np.array([3, 1])).tolist(), shares(np.array([0])).tolist()
    ([0.75, 0.25], [0.0])
    """
    return np.asarray(count_K / max(1, int(np.sum(count_K))), dtype=np.float64)


def psi(before_K: Sequence[float] | np.ndarray, now_K: Sequence[float] | np.ndarray) -> float:
    """Return the population stability index of two lists of shares. It is 0 if they are equal.

    >>> psi([0.5, 0.5], [0.5, 0.5]), round(psi([0.5, 0.5], [0.75, 0.25]), 4)
    (0.0, 0.2747)
    """
    p_K, q_K = (np.maximum(np.asarray(share_K, dtype=np.float64), FLOOR) for share_K in (before_K, now_K))
    return float(np.sum((q_K - p_K) * np.log(q_K / p_K)))


def number_reference(value_N: np.ndarray) -> dict[str, Any]:
    """Return what numbers looked like: the share of nulls (NaN), the cuts, and the share of each bin."""
    return {"null": _share(np.isnan(value_N)), **distribution(value_N)}


def distribution(value_N: np.ndarray) -> dict[str, Any]:
    """Return the cuts of numbers and the share of each bin.

    >>> distribution(np.array([1.0, 1.0, 2.0, 2.0]))
    {'cuts': [2.0], 'shares': [0.5, 0.5]}
    """
    bins = Bins.of(value_N)
    return {"cuts": list(bins.cuts), "shares": shares(bins.count(value_N)).tolist()}


def id_reference(row_N: np.ndarray) -> dict[str, Any]:
    """Return what single ids looked like: the shares of nulls and of unseen ids, the frequent rows, and the shares of these.

    The last share is that of all other ids.

    >>> id_reference(np.array([0, 1, 2, 2, 2]))
    {'null': 0.2, 'unseen': 0.25, 'rows': [2, 1], 'shares': [0.75, 0.25, 0.0]}
    """
    frequent = FrequentIds.of(row_N)
    found = {"rows": list(frequent.rows), "shares": shares(frequent.count(row_N)).tolist()}
    return {"null": _share(row_N == NULL_ROW), "unseen": _unseen(row_N), **found}


def list_reference(row_N: np.ndarray, length_B: np.ndarray) -> dict[str, Any]:
    """Return what lists looked like: the share of lists without an id, and that of unseen ones among all ids.

    >>> list_reference(np.array([1, 2]), np.array([0, 2]))
    {'null': 0.5, 'unseen': 0.5}
    """
    return {"null": _share(length_B == 0), "unseen": _unseen(row_N)}


def _unseen(row_N: np.ndarray) -> float:
    return _share(row_N[row_N != NULL_ROW] == UNKNOWN_ROW)


def _share(true_N: np.ndarray) -> float:
    return float(np.mean(true_N)) if len(true_N) else 0.0
