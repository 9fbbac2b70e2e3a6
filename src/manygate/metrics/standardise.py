"""Standardised metrics: the distance of a main metric from that of guessing, in standard errors.

AUC and R2 have no common unit, and a metric of few rows is noisier than one of many. The mean of raw metrics follows the noisiest
task. So each metric is divided by its standard error: ``(metric - guess) / error``. The error depends on the labels and weights
alone. It is the same for every model and epoch, so standardising never changes the order of two values of one metric.

Rows count as independent, and each error is its leading term.

**AUC.** Let the scores be random, with ranks U uniform on (0, 1). W1 is the sum of the weights w of the ones, and W0 that of the
zeros. The projection of the weighted Mann-Whitney statistic is::

    AUC - 1/2 = sum over ones of (w / W1) (U - 1/2) - sum over zeros of (w / W0) (U - 1/2)

U has the variance 1/12. So the variance of AUC is ``(sum w^2 over ones / W1^2 + sum w^2 over zeros / W0^2) / 12``. Without weights
this is (1/n1 + 1/n0) / 12. The exact variance of Mann and Whitney (1947) adds 1 / (12 n1 n0).

**R2.** For a model that guesses, R2 has no error of first order. So let the predictor explain the share s of the label's variance
V, and be calibrated: the label deviates from its mean by d, the prediction by s d + z, and z is independent of d and normal with
variance s (1 - s) V. The residual is (1 - s) d - z, and the influence of a row on R2 is::

    ((1 - s) d^2 - ((1 - s) d - z)^2) / V = (s (1 - s) d^2 + 2 (1 - s) d z - z^2) / V

With the kurtosis k = E[d^4] / V^2 its variance is ``s^2 (1 - s)^2 (k - 1) + 4 s (1 - s)^3 + 2 s^2 (1 - s)^2``. For normal labels
(k = 3) this is 4 s (1 - s)^2, which is largest at s = 1/3. There the influence is (2/9 d^2 + 4/3 d z - z^2) / V with the variance
``(4 k + 36) / 81``, so R2 over n_eff = (sum w)^2 / sum w^2 rows has the variance ``(4 k + 36) / (81 n_eff)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from manygate.metrics.task import Floats, Weights, valid_rows, weighted_mean

GUESS: Final = {"auc": 0.5, "r2": 0.0}
"""The value of each main metric for a model that knows nothing."""


def auc_error(label_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the standard error of the AUC of random scores. It is NaN with one class.

    >>> round(auc_error([0, 1, 0, 1]), 4)  # sqrt((1/2 + 1/2) / 12)
    0.2887
    """
    label, _, weight = valid_rows("binary", label_N, label_N, weight_N)
    shares = [_inverse_rows(weight[label == value]) for value in (0, 1)]
    return math.sqrt(sum(shares) / 12)


def r2_error(label_N: ArrayLike, weight_N: Weights = None) -> float:
    """Return the standard error of the R2 of a predictor that explains a third of the variance. It is NaN if all labels are equal.

    >>> round(r2_error([1, 1, 3, 3]), 4)  # kurtosis 1: sqrt(40 / (81 * 4))
    0.3514
    """
    label, _, weight = valid_rows("regression", label_N, label_N, weight_N)
    if label.size == 0 or not label.min() < label.max():
        return math.nan
    square_N = (label - weighted_mean(label, weight)) ** 2
    kurtosis = weighted_mean(square_N**2, weight) / weighted_mean(square_N, weight) ** 2
    return math.sqrt((4 * kurtosis + 36) / 81 * _inverse_rows(weight))


def _inverse_rows(weight_N: Floats) -> float:
    """Return one over the effective number of rows, sum w^2 / (sum w)^2. It is NaN without rows."""
    return float(np.sum(weight_N**2) / np.sum(weight_N) ** 2) if weight_N.size else math.nan


ERRORS: Final[dict[str, Callable[[ArrayLike, Weights], float]]] = {"auc": auc_error, "r2": r2_error}
"""The standard error of each main metric."""
