"""Metrics of one task. Each is a function of 1-D NumPy arrays, and all values are float64.

Shapes: ``N`` rows, ``B`` blocks of tied scores, ``G`` groups, ``R`` replicas.

Rows of weight 0 are masked. The result is the same, bit for bit, as without these rows. An undefined result is ``math.nan``. A
result is also NaN if a label or a score of a row that is not masked is not finite.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manygate.errors import InputError
from manygate.results.summary import CalibrationBin

Kind: TypeAlias = Literal["binary", "regression"]
Floats: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = ArrayLike | None
BINS = 15


def kept_rows(label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights, *more: ArrayLike) -> tuple[NDArray[Any], ...]:
    """Return labels, scores, weights (float64) and the further columns, without the rows of weight 0."""
    label, score = np.asarray(label_N, dtype=np.float64), np.asarray(score_N, dtype=np.float64)
    weight = np.ones(label.shape) if weight_N is None else np.asarray(weight_N, dtype=np.float64)
    columns = (label, score, weight, *map(np.asarray, more))
    if label.ndim != 1 or any(column.shape != label.shape for column in columns):
        raise InputError(f"metrics need 1-D arrays of one length; found shapes {[column.shape for column in columns]}.")
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise InputError("weights must be finite and at least 0 (0 masks a row); found a negative, infinite or NaN weight.")
    return tuple(column[weight > 0] for column in columns)


def valid_rows(kind: Kind, label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights, *more: ArrayLike) -> tuple[NDArray[Any], ...]:
    """Do the same as :func:`kept_rows`, and check the values.

    If a label or score is not finite, all labels and scores become NaN, and so does any metric. Raises :class:`InputError` if a
    label of a binary task is not 0 or 1.
    """
    label, score, *rest = kept_rows(label_N, score_N, weight_N, *more)
    if not (np.isfinite(label).all() and np.isfinite(score).all()):
        label, score = np.full_like(label, np.nan), np.full_like(score, np.nan)
    elif kind == "binary" and not np.isin(label, (0, 1)).all():
        raise InputError(f"labels of a binary task are 0 or 1; found {label[~np.isin(label, (0, 1))][0]:g}. Mask such rows.")
    return label, score, *rest


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below > 0 else math.nan


def weighted_mean(value_N: Floats, weight_N: Floats) -> float:
    return _ratio(np.sum(weight_N * value_N), np.sum(weight_N))


def blocks(label_N: Floats, score_N: Floats, weight_N: Floats) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.intp]]:
    """Return the weight of the positives and of the negatives in each block of tied scores (B,), and each row's block (N,).

    The blocks are in ascending order of the score.
    """
    block_N = np.unique(score_N, return_inverse=True)[1]
    return np.bincount(block_N, weight_N * label_N), np.bincount(block_N, weight_N * (1 - label_N)), block_N


def auc(label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the exact area under the ROC curve. Ties count half (Hanley & McNeil 1982). It is NaN with one class.

    >>> auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    positive_B, negative_B, _ = blocks(*valid_rows("binary", label_N, score_N, weight_N))
    below_B = np.cumsum(negative_B) - negative_B / 2
    return _ratio(np.sum(positive_B * below_B), positive_B.sum() * negative_B.sum())


def gauc(label_N: ArrayLike, score_N: ArrayLike, group_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the AUC within groups, averaged by their total weight (Zhou et al. 2018, DIN). Groups with one class do not count.

    ``group_N`` holds integers.

    >>> gauc([0, 1, 0, 1, 1], [0.1, 0.2, 0.9, 0.8, 0.5], [7, 7, 8, 8, 9])
    0.5
    """
    _, auc_G, weight_G = group_aucs(label_N, score_N, group_N, weight_N)
    return weighted_mean(auc_G, weight_G)


def group_aucs(
    label_N: ArrayLike, score_N: ArrayLike, group_N: ArrayLike, weight_N: Weights = None
) -> tuple[NDArray[Any], Floats, Floats]:
    """Return the groups that have both classes, in ascending order: their numbers, AUCs and total weights, (G,) each.

    >>> [part.tolist() for part in group_aucs([0, 1, 0, 1, 1], [0.1, 0.2, 0.9, 0.8, 0.5], [7, 7, 8, 8, 9])]
    [[7, 8], [1.0, 0.0], [2.0, 2.0]]
    """
    label, score, weight, group = valid_rows("binary", label_N, score_N, weight_N, group_N)
    if label.size == 0 or not np.isfinite(label).all():
        undefined = np.full(min(label.size, 1), np.nan)
        return group[:1], undefined, undefined
    order = np.lexsort((score, group))
    label, score, weight, group = label[order], score[order], weight[order], group[order]
    new_group = np.append(True, group[1:] != group[:-1])
    block = np.flatnonzero(new_group | np.append(True, score[1:] != score[:-1]))  # first row of each block of ties
    first = np.flatnonzero(new_group[block])  # first block of each group
    positive_B, negative_B = np.add.reduceat(weight * label, block), np.add.reduceat(weight * (1 - label), block)
    before_B = np.cumsum(negative_B) - negative_B
    before_B -= np.repeat(before_B[first], np.diff(first, append=block.size))  # negatives of this group with lower scores
    ordered_G = np.add.reduceat(positive_B * (before_B + negative_B / 2), first)
    positive_G, negative_G = np.add.reduceat(positive_B, first), np.add.reduceat(negative_B, first)
    both = (positive_G > 0) & (negative_G > 0)
    return group[block[first]][both], ordered_G[both] / (positive_G * negative_G)[both], (positive_G + negative_G)[both]


def gauc_groups(label_N: ArrayLike, group_N: ArrayLike, weight_N: Weights = None) -> tuple[int, int]:
    """Return the number of groups that count in :func:`gauc` (with both classes), and the number of groups with unmasked rows.

    >>> gauc_groups([0, 1, 0, 1, 1], [7, 7, 8, 8, 9])
    (2, 3)
    """
    label, _, weight, group = valid_rows("binary", label_N, label_N, weight_N, group_N)
    positive_G, negative_G, _ = blocks(label, group, weight)
    return int(np.count_nonzero((positive_G > 0) & (negative_G > 0))), positive_G.size


def log_loss(label_N: ArrayLike, probability_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the mean negative log-likelihood in nats. Probabilities are clipped at float64's epsilon (36 nats a row at most).

    >>> round(log_loss([0, 1], [0.5, 0.25]), 4)  # (ln 2 + ln 4) / 2
    1.0397
    """
    label, probability, weight = valid_rows("binary", label_N, probability_N, weight_N)
    if (np.abs(probability - 0.5) > 0.5 + 1e-6).any():
        raise InputError("probabilities must lie between 0 and 1; apply the sigmoid to logits first.")
    return weighted_mean(log_losses(label, probability), weight)


def log_losses(label_N: Floats, probability_N: Floats) -> Floats:
    """Return the negative log-likelihood of each row, (N,), clipped as in :func:`log_loss`.

    >>> log_losses(np.array([0.0, 1.0]), np.array([0.5, 0.25])).round(4).tolist()
    [0.6931, 1.3863]
    """
    clipped_N = np.clip(probability_N, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    loss_N: Floats = -np.where(label_N == 1, np.log(clipped_N), np.log1p(-clipped_N))
    return loss_N


def normalised_entropy(label_N: ArrayLike, probability_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the log loss divided by the entropy of the base rate of the same rows (He et al. 2014). It is NaN with one class.

    >>> normalised_entropy([0, 1], [0.5, 0.5])
    1.0
    """
    label, probability, weight = valid_rows("binary", label_N, probability_N, weight_N)
    if label.size == 0 or label.min() == label.max():
        return math.nan
    return _ratio(log_loss(label, probability, weight), log_loss(label, np.full_like(label, weighted_mean(label, weight)), weight))


def calibration(label_N: ArrayLike, probability_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return observed over expected positives, ``sum(w * y) / sum(w * p)``. It is NaN if every p is 0.

    >>> calibration([0, 1, 0, 1], [0.25, 0.25, 0.25, 0.25])
    2.0
    """
    label, probability, weight = valid_rows("binary", label_N, probability_N, weight_N)
    return _ratio(np.sum(weight * label), np.sum(weight * probability))


def _bins(label_N: ArrayLike, probability_N: ArrayLike, weight_N: Weights, bins: int) -> tuple[NDArray[Any], ...]:
    """Return the predicted and observed rate, the mass and the number of rows of each bin. All are empty if they are undefined.

    The bins have equal mass. Ties stay together: they are in the bin that contains the middle of their mass.
    """
    columns = valid_rows("binary", label_N, probability_N, weight_N)
    label, probability, weight = (column[np.isfinite(columns[0])] for column in columns)
    bin_N = bin_of(probability, weight, bins)
    mass = np.bincount(bin_N, weight)
    return np.bincount(bin_N, weight * probability) / mass, np.bincount(bin_N, weight * label) / mass, mass, np.bincount(bin_N)


def bin_of(probability_N: Floats, weight_N: Floats, bins: int = BINS) -> NDArray[np.intp]:
    """Return each row's bin of equal mass, (N,), as in :func:`ece`. The rows must not include rows of weight 0.

    >>> bin_of(np.array([0.7, 0.1, 0.1, 0.2]), np.ones(4), bins=2).tolist()
    [1, 0, 0, 1]
    """
    block_N = np.unique(probability_N, return_inverse=True)[1]
    mass_B = np.bincount(block_N, weight_N)
    bin_B = (bins * (np.cumsum(mass_B) - mass_B / 2) / mass_B.sum()).astype(np.intp)
    return np.unique(np.minimum(bin_B, bins - 1)[block_N], return_inverse=True)[1]


def ece(label_N: ArrayLike, probability_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the expected calibration error over 15 bins of equal mass (Naeini et al. 2015; equal mass as in Nixon et al. 2019).

    >>> round(ece([0, 1, 0, 1], [0.2, 0.2, 0.6, 0.6]), 4)  # |0.5 - 0.2| / 2 + |0.5 - 0.6| / 2
    0.2
    """
    predicted, observed, mass, _ = _bins(label_N, probability_N, weight_N, BINS)
    return weighted_mean(np.abs(observed - predicted), mass)


def calibration_curve(
    label_N: ArrayLike, probability_N: ArrayLike, weight_N: Weights = None, bins: int = BINS
) -> list[CalibrationBin]:
    """Return the points of a reliability diagram, one for each bin of :func:`ece` that is not empty.

    >>> calibration_curve([0, 1, 0, 1], [0.25, 0.25, 0.75, 0.75], bins=2)[1]
    CalibrationBin(predicted=0.75, observed=0.5, rows=2)
    """
    predicted, observed, _, rows = (column.tolist() for column in _bins(label_N, probability_N, weight_N, bins))
    return [CalibrationBin(predicted=p, observed=o, rows=n) for p, o, n in zip(predicted, observed, rows, strict=True)]


def average_precision(label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the precision at each threshold, weighted by its added recall (scikit-learn's definition). NaN without positives.

    >>> round(average_precision([0, 1, 0, 1], [0.1, 0.4, 0.35, 0.3]), 4)  # 1/2 * 1 + 1/2 * 2/3
    0.8333
    """
    positive_B, negative_B, _ = blocks(*valid_rows("binary", label_N, score_N, weight_N))
    positive_B, negative_B = positive_B[::-1], negative_B[::-1]  # thresholds from the highest score down
    precision_B = np.cumsum(positive_B) / np.cumsum(positive_B + negative_B)
    return _ratio(np.sum(positive_B * precision_B), positive_B.sum())


def rmse(label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the root mean squared error, in the label's unit.

    >>> rmse([0, 0], [1, 7])
    5.0
    """
    label, score, weight = valid_rows("regression", label_N, score_N, weight_N)
    return math.sqrt(weighted_mean((label - score) ** 2, weight))


def mae(label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the mean absolute error, in the label's unit.

    >>> mae([0, 0], [1, -7])
    4.0
    """
    label, score, weight = valid_rows("regression", label_N, score_N, weight_N)
    return weighted_mean(np.abs(label - score), weight)


def r2(label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the share of the label's variance that is explained, ``1 - MSE / variance``. It is NaN if all labels are equal.

    >>> r2([1, 2, 3], [1, 2, 2])
    0.5
    """
    label, score, weight = valid_rows("regression", label_N, score_N, weight_N)
    if label.size == 0 or label.min() == label.max():
        return math.nan
    return 1 - _ratio(np.sum(weight * (label - score) ** 2), np.sum(weight * (label - weighted_mean(label, weight)) ** 2))
