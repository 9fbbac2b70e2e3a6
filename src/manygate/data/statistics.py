"""Target statistics: the smoothed mean label of each id, as an input of the baselines and of a network.

    statistic of an id = (sum of its labels + SMOOTHING prior) / (number of its labels + SMOOTHING),

where labels and numbers are weighted, and the prior is the mean label of all training rows (Micci-Barreca, "A preprocessing scheme
for high-cardinality categorical attributes", SIGKDD Explorations 2001). The label of a row must not reach the row's own input.
So a training row reads statistics of the other folds alone. Validation and test rows read those of all training rows. An id
without labels has the prior.

A feature of one id is treated as a bag of one. Shape suffixes: N rows, n ids of all bags, V rows of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from manygate.data.log_rows import LogRows
from manygate.data.rows import UNKNOWN_ROW
from manygate.randomness import BASELINE_FOLDS, stream_seed

FOLDS = 5
SMOOTHING = 20.0
Bag = tuple[np.ndarray, np.ndarray]
"""The ids of all rows (n,), and the offsets of the rows (N + 1,)."""


@dataclass(frozen=True)
class IdStatistics:
    """The smoothed mean label and the weight of each id.

    >>> bag = np.array([2, 2, 3]), np.arange(4)
    >>> statistics = fit_statistics(bag, np.array([1.0, 0.0, 1.0]), np.ones(3), size=5, prior=0.5, smoothing=1.0)
    >>> statistics.mean_V.tolist(), statistics.weight_V.tolist()
    ([0.5, 0.5, 0.5, 0.75, 0.5], [0.0, 0.0, 2.0, 1.0, 0.0])
    """

    mean_V: np.ndarray
    weight_V: np.ndarray

    def means(self, bag: Bag) -> np.ndarray:
        """Return the mean statistic of each row's ids (N,). It is NaN for a row without ids."""
        return row_means(self.mean_V, bag)

    def weights(self, bag: Bag) -> np.ndarray:
        """Return the mean weight of each row's ids (N,). Rare and unseen ids, which share a row of the vocabulary, count 0."""
        weight_V = self.weight_V.copy()
        weight_V[UNKNOWN_ROW] = 0.0
        return row_means(weight_V, bag)


def fit_statistics(
    bag: Bag, label_N: np.ndarray, weight_N: np.ndarray, size: int, prior: float, smoothing: float = SMOOTHING
) -> IdStatistics:
    """Fit the statistics of a vocabulary of ``size`` rows. Rows of weight 0 have no influence."""
    id_n, row_n = bag[0], rows_of(bag)
    weight_V = np.bincount(id_n, weight_N[row_n], size)
    total_V = np.bincount(id_n, (weight_N * label_N)[row_n], size)
    return IdStatistics((total_V + smoothing * prior) / (weight_V + smoothing), weight_V)


def out_of_fold(
    bag: Bag,
    label_N: np.ndarray,
    weight_N: np.ndarray,
    size: int,
    prior: float,
    fold_N: np.ndarray,
    smoothing: float = SMOOTHING,
) -> np.ndarray:
    """Return the mean statistic of each training row's ids (N,). A row reads statistics of the rows in other folds."""
    mean_N = np.full(len(label_N), np.nan)
    for fold in np.unique(fold_N):
        inside_N = fold_N == fold
        others = fit_statistics(bag, label_N, np.where(inside_N, 0.0, weight_N), size, prior, smoothing)
        mean_N[inside_N] = row_means(others.mean_V, bag)[inside_N]
    return mean_N


def other_rows(bag: Bag, weight_N: np.ndarray, statistics: IdStatistics) -> np.ndarray:
    """Return the mean weight of each training row's ids (N,), without the weight of the row itself.

    So an id that occurs in one training row counts 0 there, as an id that is new counts 0 on test rows.
    """
    return np.maximum(statistics.weights(bag) - weight_N, 0.0)


def labels_of(rows: LogRows, task: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of a task, as models see them, and the weights of all rows. Weight 0 masks a label.

    The weights of the labelled rows have the mean 1. So a column of weights may have any unit, as for the networks. Smoothing and
    penalties would depend on the unit.
    """
    label_N, weight_N = (array_BT[:, task].astype(np.float64) for array_BT in (rows.label_BT, rows.weight_BT))
    labelled_N = weight_N > 0
    return label_N, weight_N / weight_N[labelled_N].mean() if labelled_N.any() else weight_N


def prior_of(label_N: np.ndarray, weight_N: np.ndarray) -> float:
    """Return the weighted mean of the labels."""
    return float(np.average(label_N, weights=weight_N))


def draw_folds(rows: int, seed: int, task: int, purpose: int = BASELINE_FOLDS, *block: int) -> np.ndarray:
    """Divide rows at random into folds of equal size, (N,). Every seed, task, purpose and block has its own folds."""
    generator = np.random.Generator(np.random.PCG64(stream_seed(purpose, seed, task, *(1 + number for number in block))))
    return generator.permutation(np.arange(rows) % FOLDS)


def rows_of(bag: Bag) -> np.ndarray:
    """Return the row of each id of a bag, (n,).

    >>> rows_of((np.array([7, 8, 9]), np.array([0, 2, 2, 3]))).tolist()
    [0, 0, 2]
    """
    return np.repeat(np.arange(len(bag[1]) - 1), np.diff(bag[1]))


def row_means(value_V: np.ndarray, bag: Bag) -> np.ndarray:
    """Return the mean value of each row's ids (N,). It is NaN for a row without ids."""
    length_N = np.diff(bag[1])
    total_N = np.bincount(rows_of(bag), value_V[bag[0]], len(length_N))
    return np.where(length_N > 0, total_N / np.maximum(length_N, 1), np.nan)
