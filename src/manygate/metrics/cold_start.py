"""Divides AUC and R2 between warm rows (all ids are known) and cold rows (an id is unseen), so that the parts add up to the whole.

Shape suffix: N rows. Rows of weight 0 are masked.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from manygate.metrics.task import auc, valid_rows, weighted_mean


class PairShare(NamedTuple):
    """The AUC of some pairs of a row with label 1 and a row with label 0, and their share of all pairs. NaN where there is none."""

    auc: float
    share: float


def auc_by_pairs(label_N: ArrayLike, score_N: ArrayLike, weight_N: ArrayLike, cold_N: ArrayLike) -> dict[str, PairShare]:
    """Return the AUC of pairs of two warm rows, of two cold rows, and of a warm row and a cold row (``mixed``).

    The sum of AUC x share over the parts is the AUC of all rows, since AUC is a mean over pairs. The weight of a pair is the
    product of its rows' weights.

    >>> parts = auc_by_pairs([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8], [1, 1, 1, 1], [False, False, True, True])
    >>> [tuple(part) for part in parts.values()]
    [(1.0, 0.25), (1.0, 0.25), (0.5, 0.5)]
    """
    label, score, weight, cold = valid_rows("binary", label_N, score_N, weight_N, cold_N)
    positive, cold = label == 1, cold.astype(bool)
    of_pairs = {
        "warm": [_pairs(positive & ~cold, ~positive & ~cold, label, score, weight)],
        "cold": [_pairs(positive & cold, ~positive & cold, label, score, weight)],
        "mixed": [
            _pairs(positive & ~cold, ~positive & cold, label, score, weight),
            _pairs(positive & cold, ~positive & ~cold, label, score, weight),
        ],
    }
    total = math.fsum(pairs.share for parts in of_pairs.values() for pairs in parts)
    return {name: _joined(parts, total) for name, parts in of_pairs.items()}


def _pairs(
    positive_N: np.ndarray, negative_N: np.ndarray, label_N: np.ndarray, score_N: np.ndarray, weight_N: np.ndarray
) -> PairShare:
    """Return the AUC of some positives and some negatives, and the weight of their pairs."""
    rows_N = positive_N | negative_N
    weight = float(weight_N[positive_N].sum() * weight_N[negative_N].sum())
    return PairShare(auc(label_N[rows_N], score_N[rows_N], weight_N[rows_N]), weight)


def _joined(parts: list[PairShare], total: float) -> PairShare:
    weight = math.fsum(part.share for part in parts)
    if not weight:
        return PairShare(math.nan, 0.0 if total else math.nan)
    return PairShare(math.fsum(part.auc * part.share for part in parts if part.share) / weight, weight / total)


def spreads(label_N: ArrayLike, weight_N: ArrayLike, cold_N: ArrayLike) -> dict[str, float]:
    """Return the mean squared distance of the labels from the mean of all rows, of warm and of cold rows.

    ``1 - R2`` of all rows is the mean squared error over this spread, each averaged over warm and cold rows by their weights.

    >>> spreads([1, 2, 3, 6], [1, 1, 1, 1], [False, False, True, True])
    {'warm': 2.5, 'cold': 4.5}
    """
    label, _, weight, cold = valid_rows("regression", label_N, label_N, weight_N, cold_N)
    distance_N = (label - weighted_mean(label, weight)) ** 2
    return {name: weighted_mean(distance_N[part], weight[part]) for name, part in (("warm", ~cold), ("cold", cold))}
