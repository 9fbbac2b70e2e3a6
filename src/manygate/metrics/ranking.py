"""Ranking metrics: NDCG, mean gain of the first K rows, and GAUC. They measure how well a score orders the rows of each visit.

All values are exact and float64, computed with NumPy. A score is sorted once.

Shapes: N rows, G groups (visits: the rows of one user, query or page), B blocks of tied scores within a group.

Tied scores have no order. The metrics count the rows of a block as in a random order. Each row of a block gets the block's mean
gain (McSherry & Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR
2008).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manygate.errors import InputError
from manygate.text import count_of

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]


class Visits:
    """Finds the groups of rows once. :meth:`ranked` then orders the rows of each group by a score.

    >>> visits = Visits([7, 7, 7, 8])
    >>> ranked = visits.ranked([0.1, 0.3, 0.2, 0.5])
    >>> ranked.gain([1.0, 0.0, 3.0, 2.0], k=2), round(ranked.ndcg([1.0, 0.0, 3.0, 2.0]), 4)
    (1.75, 0.659)
    """

    def __init__(self, group_N: ArrayLike):
        group = np.asarray(group_N)
        if group.ndim != 1:
            raise InputError(f"groups: expected one number for each row; found an array of shape {group.shape}.")
        self.group_N = np.unique(group, return_inverse=True)[1].astype(np.int32)
        self.size_G = np.bincount(self.group_N)
        self.start_G = np.cumsum(self.size_G) - self.size_G
        self.position_N = np.arange(group.size) - np.repeat(self.start_G, self.size_G)  # 0, 1, ... in each group
        self.discount_N = 1 / np.log2(self.position_N + 2)

    def __len__(self) -> int:
        return self.size_G.size

    def ranked(self, score_N: ArrayLike) -> Ranked:
        """Order the rows of each group from the highest score to the lowest. Tied rows count as in a random order."""
        score = np.asarray(score_N, dtype=np.float64)
        if score.shape != self.group_N.shape:
            raise InputError(f"scores: expected one for each of {count_of(self.group_N.size, 'row')}; found shape {score.shape}.")
        if not np.isfinite(score).all():
            raise InputError("scores: a score is not finite, so the rows have no order. Remove this row, or correct its score.")
        return Ranked(self, score)

    def first(self, k: int | None) -> NDArray[np.bool_]:
        """Return true for each of the first ``k`` positions of a group, (N,). If k is None, all are true."""
        return self.position_N < (k if k is not None else self.position_N.size + 1)

    def best_gain(self, gain_N: ArrayLike, k: int | None = None) -> Floats:
        """Return the discounted gain (G,) of each visit's best order, from the highest gain to the lowest."""
        gain = _checked(gain_N, self.group_N.size)
        if (gain < 0).any():
            raise InputError(f"ndcg needs gains of at least 0; found {gain.min():g}.")
        return self.sums(gain[np.lexsort((-gain, self.group_N))] * self.discount_N * self.first(k))

    def sums(self, value_N: Floats) -> Floats:
        """Sum values over each group, (G,). The values are in the order of the positions."""
        return np.add.reduceat(value_N, self.start_G) if value_N.size else np.zeros(0)


class Ranked:
    """An order of the rows of each visit. Its metrics take gains or labels in the original order of the rows."""

    def __init__(self, visits: Visits, score_N: Floats):
        self.visits = visits
        self.order_N = np.lexsort((-score_N, visits.group_N))
        score_N, group_N = score_N[self.order_N], visits.group_N[self.order_N]
        starts = np.append(True, (score_N[1:] != score_N[:-1]) | (group_N[1:] != group_N[:-1]))[: score_N.size]
        self.block_B = np.flatnonzero(starts)
        self.size_B = np.diff(self.block_B, append=score_N.size)

    def gain(self, gain_N: ArrayLike, k: int | None = None) -> float:
        """Return the mean gain of a visit's first ``k`` rows, averaged over visits.

        All rows of a visit count if it has fewer than ``k``. The result is NaN without rows.
        """
        visits, first_N = self.visits, self.visits.first(k)
        count_G = np.minimum(visits.size_G, k if k is not None else visits.size_G)
        total_G = visits.sums(self._ordered(gain_N) * first_N)
        return float(np.mean(total_G / count_G)) if len(visits) else math.nan

    def ndcg(self, gain_N: ArrayLike, k: int | None = None, best_G: Floats | None = None) -> float:
        """Return the normalised discounted cumulative gain of the first ``k`` positions, averaged over visits.

        Gains are linear. The discount of position i (from 1) is 1 / log2(i + 1) (Järvelin & Kekäläinen, TOIS 2002). Visits with one
        row or without a gain above 0 do not count, because they have no order. The result is NaN if no visit counts. ``best_G`` is
        the result of :meth:`Visits.best_gain`, if the caller has it.
        """
        visits = self.visits
        best_G = visits.best_gain(gain_N, k) if best_G is None else best_G
        gain_G = visits.sums(self._ordered(gain_N) * visits.discount_N * visits.first(k))
        counts_G = (best_G > 0) & (visits.size_G > 1)
        return float(np.mean(gain_G[counts_G] / best_G[counts_G])) if counts_G.any() else math.nan

    def gauc(self, label_N: ArrayLike, weight_N: ArrayLike) -> float:
        """Return the AUC within visits, averaged by their weight. It equals :func:`manygate.metrics.gauc`.

        The result is NaN if no visit has both classes.
        """
        label, weight = self._checked(label_N)[self.order_N], self._checked(weight_N)[self.order_N]
        positive_B, negative_B = self._blocks(weight * (label == 1)), self._blocks(weight * (label != 1))
        first_G = np.searchsorted(self.block_B, self.visits.start_G)  # first block of each group
        through_B = np.cumsum(negative_B)
        before_G = np.append(0.0, through_B)[first_G]
        positive_G, negative_G = np.add.reduceat(positive_B, first_G), np.add.reduceat(negative_B, first_G)
        below_B = np.repeat(before_G + negative_G, np.diff(first_G, append=self.block_B.size)) - through_B
        beaten_G = np.add.reduceat(positive_B * (below_B + negative_B / 2), first_G)
        both_G = (positive_G > 0) & (negative_G > 0)
        if not both_G.any():
            return math.nan
        positive, negative = positive_G[both_G], negative_G[both_G]
        return float(np.average(beaten_G[both_G] / (positive * negative), weights=positive + negative))

    def _blocks(self, value_N: Floats) -> Floats:
        return np.add.reduceat(value_N, self.block_B) if value_N.size else np.zeros(0)

    def _ordered(self, gain_N: ArrayLike) -> Floats:
        """Return the gains in the order of the scores. Tied rows get their mean gain."""
        gain = self._checked(gain_N)[self.order_N]
        if self.block_B.size == gain.size:
            return gain
        return np.repeat(self._blocks(gain) / self.size_B, self.size_B)

    def _checked(self, value_N: ArrayLike) -> Floats:
        return _checked(value_N, self.order_N.size)


def _checked(value_N: ArrayLike, rows: int) -> Floats:
    value = np.asarray(value_N, dtype=np.float64)
    if value.shape != (rows,) or not np.isfinite(value).all():
        raise InputError(
            f"gains, labels and weights: expected a finite number for each of {count_of(rows, 'row')}; found shape {value.shape}."
        )
    return value
