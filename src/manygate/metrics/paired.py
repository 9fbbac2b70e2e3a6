"""Paired comparison of two models on the same rows: the gain of one model in each metric, and its interval.

Shapes: ``R`` replicas, ``N`` rows, ``G`` clusters of dependent rows (the rows of a user; without groups every row is a cluster).
All values are float64, computed with NumPy.

:func:`measure` measures a model once: the value of each metric in every replica, and the influence of each cluster of test rows on
it. :func:`gain` then compares any two models that were measured on the same rows, by a subtraction.
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
"""Metrics that depend on the values of the probabilities. The other metrics depend on the order of the rows alone."""
KINKS = {"log_loss": 0, "calibration": 1, "ece": metrics.BINS}
Clusters = NDArray[np.intp]


@dataclass(frozen=True)
class Measured:
    """One metric of one model on the test rows, transformed so that higher is better."""

    value_R: Floats
    """The value in each replica."""
    influence_G: Floats
    """The influence of each cluster on the mean of the values, with a sum of 0 (:func:`manygate.metrics.influence`)."""
    kinks: int = 0
    """The number of distances |a - b| of which the metric is a mean; 0 for other metrics. The sign of a - b may be due to chance,
    and the sign of the influence depends on it."""
    lowest: float = -math.inf
    """The lowest possible value."""
    highest: float = math.inf
    """The highest possible value."""

    @property
    def side_in_doubt(self) -> bool:
        """True if the distances are less than two standard errors from 0, on average over ``kinks`` independent distances."""
        return bool(self.kinks) and abs(self.value_R.mean()) < 2 * math.sqrt(self.kinks) * metrics.standard_error(self.influence_G)


def gain(model: Measured, reference: Measured, looks: int = 1) -> JointGain:
    """Return the gain of ``model`` over ``reference``; a positive gain means that ``model`` is better.

    It is :func:`manygate.metrics.paired_gain` with a second interval. ``ci95`` is for this gain alone. ``joint95`` is for ``looks``
    gains at once: Each has the level 1 - 0.05 / looks, so that all of them hold together with 95 % (Bonferroni). Statements about
    several tasks at once follow from the joint intervals. ``clusters`` counts the rows or groups with an influence on the gain.

    If :attr:`Measured.side_in_doubt` is true for a model, the larger of two standard errors counts: that of the difference of the
    influences, and that of their sum. Otherwise two models with equal errors in opposite directions would seem to differ for sure.

    >>> model, reference = Measured(np.array([0.7, 0.8]), np.array([0.1, -0.1])), Measured(np.array([0.6, 0.7]), np.zeros(2))
    >>> round(gain(model, reference).gain, 4), gain(model, reference).clusters
    (0.1, 2)
    """
    gain_R, influence_G = model.value_R - reference.value_R, model.influence_G - reference.influence_G
    if influence_G.any() and (model.side_in_doubt or reference.side_in_doubt):
        influence_G = max(influence_G, model.influence_G + reference.influence_G, key=lambda value_G: float(np.sum(value_G**2)))
    se_test, clusters = metrics.standard_error(influence_G), metrics.cluster_count(influence_G)
    largest = model.highest - model.lowest
    paired = metrics.paired_gain(gain_R.tolist(), se_test, clusters, largest)
    joint = None
    if paired.gain is not None and paired.sd_replicas is not None and paired.ci95 is not None:
        half = half_width(paired.sd_replicas, len(gain_R), se_test, clusters, looks)
        joint = bounded(paired.gain - half, paired.gain + half, -largest, largest)
    return JointGain(**dict(paired), joint95=joint, clusters=clusters)


def half_width(sd: float, replicas: int, se: float, clusters: int, looks: int = 1) -> float:
    """Return half the width of a gain's interval. Its square is the sum of the squares of the two :func:`halves`.

    >>> round(half_width(0.01, 4, 0.002, 10_000), 5)  # hypot(3.182 * 0.01 / 2, 1.96 * 0.002)
    0.01639
    """
    return math.hypot(*halves(sd, replicas, se, clusters, looks))


def halves(sd: float, replicas: int, se: float, clusters: int, looks: int = 1) -> tuple[float, float]:
    """Return the two parts of :func:`half_width`: the part of the seeds and the part of the test rows."""
    level = 1 - ALPHA / looks
    seeds = metrics.t_quantile(replicas - 1, level) * sd / math.sqrt(replicas)
    return seeds, metrics.t_quantile(max(min(clusters, metrics.MANY) - 1, 1), level) * se


def measure(
    kind: Kind, label_N: Floats, score_RN: Floats, output_RN: Floats, weight_N: Floats, cluster_N: Clusters, grouped: bool
) -> dict[str, Measured]:
    """Measure all metrics of a comparison: AUC, GAUC (if ``grouped``), log loss, calibration and ECE of a binary task, or R2.

    ``score_RN`` holds logits. ``output_RN`` holds probabilities, or values in the label's unit. ``label_N`` has the same unit.
    ``cluster_N`` holds the numbers of clusters, from 0. Rows of weight 0 are masked. Calibration is the distance
    ``|ln(observed / expected)|``, so that too few and too many predicted positives count alike.
    """
    kept_N = weight_N > 0
    label_N, weight_N, cluster_N, size = label_N[kept_N], weight_N[kept_N], cluster_N[kept_N], int(cluster_N.max(initial=-1)) + 1
    score_RN, output_RN = score_RN[:, kept_N], output_RN[:, kept_N]
    main_RN = score_RN if kind == "binary" else output_RN
    by_name = {metrics.MAIN_METRIC[kind]: measure_main(kind, label_N, main_RN, weight_N, cluster_N, size)}
    if kind != "binary":
        return by_name
    for name in (("gauc",) if grouped else ()) + PROBABILITY_METRICS:
        by_name[name] = _measured(name, label_N, output_RN, weight_N, cluster_N, size)
    return by_name


def measure_main(
    kind: Kind, label_N: Floats, score_RN: Floats, weight_N: Floats, cluster_N: Clusters, size: int | None = None
) -> Measured:
    """Measure the main metric alone. ``size`` is the number of clusters."""
    size = int(cluster_N.max(initial=-1)) + 1 if size is None else size
    return _measured(metrics.MAIN_METRIC[kind], label_N, score_RN, weight_N, cluster_N, size)


_Metric = Callable[[Floats, Floats, Floats, Clusters, int], tuple[float, Floats]]


def _measured(name: str, label_N: Floats, score_RN: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> Measured:
    """Measure a metric in each replica, and take the mean of the replicas' influences."""
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
    """GAUC is a weighted mean over independent groups. The influence of a group is its weighted distance from the mean."""
    group_G, auc_G, mass_G = metrics.group_aucs(label_N, score_N, cluster_N, weight_N)
    influence_G, value = np.zeros(size), metrics.gauc(label_N, score_N, cluster_N, weight_N)
    influence_G[group_G] = mass_G * (auc_G - value) / mass_G.sum()
    return value, influence_G


def _log_loss(label_N: Floats, output_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    """The log loss is a mean over rows. It is negated, so that higher is better."""
    value = metrics.log_loss(label_N, output_N, weight_N)
    loss_N = metrics.log_losses(label_N, output_N)
    return -value, _summed(weight_N * (value - loss_N) / weight_N.sum(), cluster_N, size)


def _calibration(label_N: Floats, output_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    """Return the negative distance -|ln(observed / expected)|. Its influence is from the delta method: d ln(O/E) = dO/O - dE/E."""
    observed, expected = np.sum(weight_N * label_N), np.sum(weight_N * output_N)
    if not (observed > 0 and expected > 0):
        return math.nan, np.full(size, math.nan)
    log_ratio = math.log(observed / expected)
    influence_N = weight_N * (label_N / observed - output_N / expected)
    return -abs(log_ratio), _summed(-np.sign(log_ratio) * influence_N, cluster_N, size)


def _ece(label_N: Floats, output_N: Floats, weight_N: Floats, cluster_N: Clusters, size: int) -> tuple[float, Floats]:
    """ECE is a mean over bins of |observed - predicted|. The influence treats the bins and their signs as constant."""
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
