"""How well the bins of one column separate the two labels of a task, or explain a number, on rows that had no part in the scores.

Shape suffixes: K bins, H halves of the rows, L labels (0 and 1).
"""

from __future__ import annotations

import numpy as np

SEPARATES = 0.985
"""A column that reaches this alone gives the label away."""
FEWEST_OF_A_LABEL = 20
"""With fewer rows of either label a column may separate them by chance."""


def auc_of_bins(count_KHL: np.ndarray) -> float:
    """The AUC of a column's bins, each scored by the rate of its label in one half of the rows and judged in the other half.

    So an id that occurs once says nothing, and does not look like a leak. NaN where a label is rare.

    >>> rows = np.array([[[9, 1], [9, 1]], [[1, 9], [1, 9]]])  # the first bin is mostly 0, the second mostly 1
    >>> round(auc_of_bins(np.repeat(rows, 3, axis=0)), 6)
    0.9
    >>> once = np.zeros((1000, 2, 2), dtype=int)  # each bin has one row
    >>> once[np.arange(1000), np.arange(1000) % 2, np.arange(1000) // 2 % 2] = 1
    >>> round(auc_of_bins(once), 2)
    0.5
    """
    total_L = count_KHL.sum(axis=(0, 1))
    if total_L.min() < FEWEST_OF_A_LABEL or count_KHL.sum(axis=0).min() == 0:
        return float("nan")
    aucs = []
    for scored, judged in ((0, 1), (1, 0)):
        positive_K, all_K = count_KHL[:, scored, 1], count_KHL[:, scored].sum(axis=1)
        rate_K = (positive_K + positive_K.sum() / all_K.sum()) / (all_K + 1)
        aucs.append(_auc(rate_K, count_KHL[:, judged, 1], count_KHL[:, judged, 0]))
    return float(np.mean(aucs))


def auc_of_order(count_KL: np.ndarray) -> float:
    """The AUC of the order of the bins, upwards or downwards; NaN where a label is rare.

    >>> auc_of_order(np.array([[0, 30], [30, 0]]))
    1.0
    """
    if count_KL.sum(axis=0).min() < FEWEST_OF_A_LABEL:
        return float("nan")
    auc = _auc(np.arange(len(count_KL)), count_KL[:, 1], count_KL[:, 0])
    return max(auc, 1 - auc)


def explained_by_bins(count_KH: np.ndarray, sum_KH: np.ndarray, square_H: np.ndarray) -> float:
    """The share of a number's variance that the bins' means explain, R squared, fitted in one half and judged in the other.

    ``sum_KH`` are sums of the label, ``square_H`` sums of its squares. NaN where there is nothing to explain.

    >>> count_KH = np.full((3, 2), 10.0)
    >>> float(explained_by_bins(count_KH, count_KH * [[1], [2], [3]], np.array([140.0, 140.0])))
    1.0
    """
    count_H, total_H = count_KH.sum(axis=0), sum_KH.sum(axis=0)
    if count_H.min() < FEWEST_OF_A_LABEL:
        return float("nan")
    shares = []
    for scored, judged in ((0, 1), (1, 0)):
        middle = total_H[scored] / count_H[scored]
        mean_K = np.where(count_KH[:, scored] > 0, sum_KH[:, scored] / np.maximum(count_KH[:, scored], 1), middle)
        error = square_H[judged] - 2 * (mean_K * sum_KH[:, judged]).sum() + (mean_K**2 * count_KH[:, judged]).sum()
        spread = square_H[judged] - total_H[judged] ** 2 / count_H[judged]
        if spread <= 1e-12 * square_H[judged]:
            return float("nan")
        shares.append(1 - error / spread)
    return float(np.mean(shares))


def merged(count_KH: np.ndarray, groups: int = 256) -> np.ndarray:
    """The group of each bin where neighbours are put together until the groups hold about equally many rows.

    >>> merged(np.array([[5, 0], [1, 1], [1, 1], [0, 1]]), groups=2).tolist()
    [0, 1, 1, 1]
    """
    count_K = count_KH.sum(axis=1)
    before_K = np.cumsum(count_K) - count_K / 2
    return np.asarray(before_K * groups // max(count_K.sum(), 1), dtype=np.int64)


def halves(rows: int, generator: np.random.Generator) -> np.ndarray:
    """0 or 1 for each row, at random: rows in pairs or in turn would make halves by parity that differ."""
    return generator.integers(0, 2, rows, dtype=np.int64)


def _auc(score_K: np.ndarray, positive_K: np.ndarray, negative_K: np.ndarray) -> float:
    """The AUC of bins with a score each; bins of one score are ties."""
    unique, tie_K = np.unique(score_K, return_inverse=True)
    positive = np.bincount(tie_K, weights=positive_K, minlength=len(unique))
    negative = np.bincount(tie_K, weights=negative_K, minlength=len(unique))
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / (positive.sum() * negative.sum()))
