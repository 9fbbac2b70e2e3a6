"""Two models on the same rows: what one gains over the other in each metric, and how much of it may be luck. Pure NumPy, float64.

Shapes: ``R`` replicas, ``N`` rows, ``G`` clusters of rows that move together (a user's; without groups every row is its own).

A model is measured once (:func:`measure`): the value of each metric in every replica, and how far each cluster of test rows moves
it. Any two models measured on the same rows are then compared by a subtraction (:func:`gain`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manygate import metrics
from manygate.metrics.task import Floats, Kind
from manygate.metrics.uncertainty import bounded
from manygate.results.summary import JointGain

ALPHA = 0.05
PROBABILITY_METRICS = ("log_loss", "calibration", "ece")
"""Metrics of the probabilities themselves; the others look at the order alone."""
KINKS = {"log_loss": 0, "calibration": 1, "ece": metrics.BINS}
Clusters = NDArray[np.intp]


@dataclass(frozen=True)
class Measured:
    """One metric of one model on the test rows, turned so that higher is better.

    ``value_R`` of each replica; ``influence_G`` how far each cluster moves their mean, sum 0
    (:func:`manygate.metrics.uncertainty.influence`).
    ``lowest`` and ``highest`` bound the value.
    ``kinks`` of a mean of distances |a - b|: how many. On which side of 0 one lies may itself be luck, and with it the influence's
    sign.
    """

    value_R: Floats
    influence_G: Floats
    kinks: int = 0
    lowest: float = -math.inf
    highest: float = math.inf

    @property
    def side_in_doubt(self) -> bool:
        """Whether a distance is less than two standard errors from 0, on average over ``kinks`` of them that are independent."""
        return bool(self.kinks) and abs(self.value_R.mean()) < 2 * math.sqrt(self.kinks) * metrics.standard_error(self.influence_G)


def gain(one: Measured, other: Measured, looks: int = 1) -> JointGain:
    """What ``one`` gains over ``other``, positive when better: :func:`manygate.metrics.paired_gain` with a second interval.

    ``ci95`` stands alone. ``joint95`` holds for ``looks`` gains at once: each at the level 1 - 0.05 / looks, so that all of them
    hold together with 95 % (Bonferroni). What is said about several tasks at once follows from the joint intervals. ``clusters``
    counts the rows, or groups, that move the gain. Where a side is in doubt, the larger of the standard errors of the difference
    and of the sum of the influences counts: models off by as much in opposite directions would else seem to differ beyond doubt.

    >>> one, other = Measured(np.array([0.7, 0.8]), np.array([0.1, -0.1])), Measured(np.array([0.6, 0.7]), np.zeros(2))
    >>> round(gain(one, other).gain, 4), gain(one, other).clusters
    (0.1, 2)
    """
    gain_R, influence_G = one.value_R - other.value_R, one.influence_G - other.influence_G
    if influence_G.any() and (one.side_in_doubt or other.side_in_doubt):
        influence_G = max(influence_G, one.influence_G + other.influence_G, key=lambda value_G: float(np.sum(value_G**2)))
    se_test, clusters = metrics.standard_error(influence_G), metrics.cluster_count(influence_G)
    largest = one.highest - one.lowest
    paired = metrics.paired_gain(gain_R.tolist(), se_test, clusters, largest)
    joint = None
    if paired.gain is not None and paired.sd_replicas is not None and paired.ci95 is not None:
        half = half_width(paired.sd_replicas, len(gain_R), se_test, clusters, looks)
        joint = bounded(paired.gain - half, paired.gain + half, -largest, largest)
    return JointGain(**dict(paired), joint95=joint, clusters=clusters)


def half_width(sd: float, replicas: int, se: float, clusters: int, looks: int = 1) -> float:
    """Half the width of a gain's interval; its square is the sum of a part from the seeds and a part from the test rows.

    >>> round(half_width(0.01, 4, 0.002, 10_000), 5)  # hypot(3.182 * 0.01 / 2, 1.96 * 0.002)
    0.01639
    """
    return math.hypot(*halves(sd, replicas, se, clusters, looks))


def halves(sd: float, replicas: int, se: float, clusters: int, looks: int = 1) -> tuple[float, float]:
    """The two parts of :func:`half_width`: of the seeds, and of the test rows."""
    level = 1 - ALPHA / looks
    seeds = metrics.t_quantile(replicas - 1, level) * sd / math.sqrt(replicas)
    return seeds, metrics.t_quantile(max(min(clusters, metrics.MANY) - 1, 1), level) * se


def measure(
    kind: Kind, label_N: Floats, score_RN: Floats, output_RN: Floats, weight_N: Floats, cluster_N: Clusters, grouped: bool
) -> dict[str, Measured]:
    """Every metric that models are compared by: AUC, GAUC (``grouped``), log loss, calibration and ECE, or R2.

    ``score_RN`` are logits, ``output_RN`` probabilities (or values, in the label's unit, as ``label_N`` is then), ``cluster_N``
    numbers from 0 on. Rows of weight 0 are masked. Calibration counts as the distance ``|ln(observed / expected)|``, so that
    too few and too many are alike.
    """
    own = weight_N > 0
    label_N, weight_N, cluster_N, size = label_N[own], weight_N[own], cluster_N[own], int(cluster_N.max(initial=-1)) + 1
    main = metrics.MAIN_METRIC[kind]
    found = {main: measure_main(kind, label_N, (score_RN if kind == "binary" else output_RN)[:, own], weight_N, cluster_N, size)}
    if kind != "binary":
        return found
    if grouped:
        found["gauc"] = _measured("gauc", label_N, output_RN[:, own], weight_N, cluster_N, size)
    for name in PROBABILITY_METRICS:
        found[name] = _measured(name, label_N, output_RN[:, own], weight_N, cluster_N, size)
    return found


def measure_main(
    kind: Kind, label_N: Floats, score_RN: Floats, weight_N: Floats, cluster_N: Clusters, size: int | None = None
) -> Measured:
    """The main metric alone; ``size`` is one more than the largest cluster's number."""
    size = int(cluster_N.max(initial=-1)) + 1 if size is None else size
    return _measured(metrics.MAIN_METRIC[kind], label_N, score_RN, weight_N, cluster_N, size)


_Metric = Callable[[Floats, Floats, Floats, Clusters, int], tuple[float, Floats]]


def _measured(name: str, label_N: Floats, score_RN: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> Measured:
    """A metric and its influences in each replica; the influences' mean."""
    values, total_G = [], np.zeros(size)
    for score_N in score_RN:
        value, influence_G = _MEASURES[name](label_N, score_N, weight_N, cluster_N, size)
        values.append(value)
        total_G += influence_G
    metric = metrics.METRICS[name]
    ends = (-math.inf, 0.0) if metric.better == "one" else sorted(map(metric.oriented, (metric.lowest, metric.highest)))
    return Measured(np.array(values), total_G / len(values), KINKS.get(name, 0), *ends)


def _auc(label_N: Floats, score_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    influence_N = metrics.influence("binary", label_N, score_N, weight_N)
    return metrics.auc(label_N, score_N, weight_N), _summed(influence_N, cluster_N, size)


def _r2(label_N: Floats, score_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    influence_N = metrics.influence("regression", label_N, score_N, weight_N)
    return metrics.r2(label_N, score_N, weight_N), _summed(influence_N, cluster_N, size)


def _summed(influence_N: Floats, cluster_N: Clusters, size: int) -> Floats:
    return np.bincount(cluster_N, influence_N, size).astype(np.float64)


def _gauc(label_N: Floats, score_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    """A mean over groups weighted by their rows; groups are independent, so each moves it by its share of the distance."""
    group_G, auc_G, mass_G = metrics.group_aucs(label_N, score_N, cluster_N, weight_N)
    influence_G, value = np.zeros(size), metrics.gauc(label_N, score_N, cluster_N, weight_N)
    influence_G[group_G] = mass_G * (auc_G - value) / mass_G.sum()
    return value, influence_G


def _log_loss(label_N: Floats, output_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    """A mean over rows."""
    value = metrics.log_loss(label_N, output_N, weight_N)
    loss_N = metrics.log_losses(label_N, output_N)
    return -value, _summed(weight_N * (value - loss_N) / weight_N.sum(), cluster_N, size)


def _calibration(label_N: Floats, output_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    """The distance |ln(observed / expected)|, by the delta method: d ln(O / E) = dO / O - dE / E."""
    observed, expected = np.sum(weight_N * label_N), np.sum(weight_N * output_N)
    if not (observed > 0 and expected > 0):
        return math.nan, np.full(size, math.nan)
    log_ratio = math.log(observed / expected)
    influence_N = weight_N * (label_N / observed - output_N / expected)
    return -abs(log_ratio), _summed(-np.sign(log_ratio) * influence_N, cluster_N, size)


def _ece(label_N: Floats, output_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    """A mean over bins of |observed - predicted|; bins and the side of each are taken as given."""
    value = metrics.ece(label_N, output_N, weight_N)
    if not math.isfinite(value):
        return math.nan, np.full(size, math.nan)
    bin_N = metrics.bin_of(output_N, weight_N)
    side_N = np.sign(np.bincount(bin_N, weight_N * (label_N - output_N)))[bin_N]
    return -value, _summed(weight_N * (value - side_N * (label_N - output_N)) / weight_N.sum(), cluster_N, size)


_MEASURES: dict[str, _Metric] = {
    "auc": _auc,
    "gauc": _gauc,
    "r2": _r2,
    "log_loss": _log_loss,
    "calibration": _calibration,
    "ece": _ece,
}
