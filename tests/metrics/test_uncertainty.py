"""Standard errors, intervals and paired gains against DeLong, derivatives, bootstraps and hand-computed values."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from manygate import metrics
from manygate.results.summary import MetricSummary
from metric_samples import quick, sample, tables

# --- standard errors ---------------------------------------------------------------------------------------------------------


def test_auc_influence_is_delongs_variance():
    label, score = sample(np.random.default_rng(2), 300)
    positive, negative = score[label == 1], score[label == 0]
    win = [[float(p > n) + (p == n) / 2 for n in negative] for p in positive]
    v10, v01 = np.mean(win, axis=1), np.mean(win, axis=0)
    delong = np.var(v10, ddof=1) / len(v10) + np.var(v01, ddof=1) / len(v01)
    value = metrics.influence("binary", label, score)
    np.testing.assert_allclose(value[label == 1], (v10 - np.mean(win)) / len(v10), atol=1e-14)
    np.testing.assert_allclose(value[label == 0], (v01 - np.mean(win)) / len(v01), atol=1e-14)
    by_class = [np.sum(value[label == y] ** 2) * n / (n - 1) for y, n in ((1, len(v10)), (0, len(v01)))]
    assert sum(by_class) == pytest.approx(delong)  # DeLong's small-sample factor is per class
    assert metrics.standard_error(value) == pytest.approx(math.sqrt(delong), rel=0.01)


@quick
@given(st.sampled_from(("binary", "regression")), st.data())
def test_influence_is_the_derivative_of_the_metric_in_the_weight(kind, data):
    label, score, weight, _ = data.draw(tables(kind))
    metric = metrics.auc if kind == "binary" else metrics.r2
    value = metrics.influence(kind, label, score, weight)
    assert not value[weight == 0].any()
    counts = [np.sum(label[weight > 0] == y) for y in (0, 1)]
    if math.isnan(metric(label, score, weight)) or (kind == "binary" and min(counts) < 2):
        assert np.isnan(value[weight > 0]).all()
        return
    assert value.sum() == pytest.approx(0, abs=1e-12 * (1 + np.abs(value).sum()))
    for i in np.flatnonzero(weight):
        step = np.where(np.arange(weight.size) == i, 1e-5, 0)
        slope = (metric(label, score, weight + step) - metric(label, score, weight - step)) / 2e-5
        assert value[i] == pytest.approx(weight[i] * slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_standard_error_agrees_with_a_bootstrap(kind):
    rng = np.random.default_rng(3)
    label, score = sample(rng)
    if kind == "regression":
        label, score = rng.gamma(2.0, size=300) + score, score
    weight = rng.choice([0.5, 1.0, 2.0], 300)
    metric = metrics.auc if kind == "binary" else metrics.r2
    draws = [metric(label[i], score[i], weight[i]) for i in rng.integers(0, 300, (1000, 300))]
    error = metrics.standard_error(metrics.influence(kind, label, score, weight))
    assert error == pytest.approx(np.std(draws, ddof=1), rel=0.1)


def test_clustered_standard_error_agrees_with_a_cluster_bootstrap():
    rng = np.random.default_rng(4)
    users, group = 80, np.repeat(np.arange(80), 5)
    taste = np.repeat(rng.normal(size=users), 5)
    label = (taste + rng.normal(size=group.size) > 0).astype(int)
    score = taste + np.repeat(rng.normal(size=users), 5)
    value = metrics.influence("binary", label, score)
    draws = []
    for chosen in rng.integers(0, users, (600, users)):
        rows = (chosen[:, None] * 5 + np.arange(5)).ravel()
        draws.append(metrics.auc(label[rows], score[rows]))
    assert metrics.standard_error(value, group) == pytest.approx(np.std(draws, ddof=1), rel=0.12)
    assert metrics.standard_error(value) < 0.8 * metrics.standard_error(value, group)  # rows alone look too sure


def test_standard_error_agrees_with_a_loop():
    rng = np.random.default_rng(5)
    value, group = rng.normal(size=50), rng.integers(0, 7, 50) + 2**60
    totals = [sum(v for v, g in zip(value, group, strict=True) if g == one) for one in set(group)]
    assert metrics.standard_error(value, group) == pytest.approx(math.sqrt(sum(t * t for t in totals) * 7 / 6))
    assert metrics.standard_error(value) == pytest.approx(math.sqrt(sum(v * v for v in value) * 50 / 49))
    assert metrics.standard_error(value, np.arange(50)) == metrics.standard_error(value)
    assert math.isnan(metrics.standard_error(value, np.zeros(50, int)))
    assert metrics.standard_error(np.zeros(50)) == 0


def test_t_quantiles_agree_with_scipy():
    for df in [*range(1, 201), 1000, 10_000]:
        assert metrics.t_quantile(df) == pytest.approx(student.ppf(0.975, df), abs=1e-9)


# --- replicas and verdicts ---------------------------------------------------------------------------------------------------


def test_interval_over_replicas():
    result = metrics.interval([1.0, 2.0, 4.0])
    assert result.mean == pytest.approx(7 / 3)
    assert result.sd == pytest.approx(math.sqrt(7 / 3))
    assert result.ci95 == pytest.approx(student.interval(0.95, 2, loc=7 / 3, scale=math.sqrt(7 / 9)))
    assert metrics.interval([0.7]) == MetricSummary(mean=0.7, sd=None, ci95=None, values=[0.7])
    two = metrics.interval([0.5, 0.7])
    assert (two.sd, two.ci95) == (pytest.approx(math.sqrt(0.02)), None)
    assert metrics.interval([0.90, 0.99, 0.999], 0.0, 1.0).ci95 == (pytest.approx(0.8270, abs=1e-3), 1.0)
    assert metrics.interval([0.01, 0.02, 0.1], 0.0, 1.0).ci95[0] == 0.0
    nothing = {"mean": None, "sd": None, "ci95": None}
    assert metrics.interval([0.7, math.nan]) == MetricSummary(**nothing, values=[0.7, None])
    assert metrics.interval([]) == MetricSummary(**nothing, values=[])


def test_verdicts():
    gain = [0.01, 0.012, 0.011]
    result = metrics.paired_gain(gain, 0.002)
    half = math.hypot(student.ppf(0.975, 2) * 0.001 / math.sqrt(3), student.ppf(0.975, 9999) * 0.002)
    assert result.gain == pytest.approx(0.011)
    assert result.sd_replicas == pytest.approx(0.001)
    assert result.ci95 == pytest.approx([0.011 - half, 0.011 + half])
    assert result.verdict == "helps"
    few = metrics.paired_gain(gain, 0.002, clusters=5).ci95
    assert few[1] - 0.011 == pytest.approx(math.hypot(student.ppf(0.975, 2) * 0.001 / math.sqrt(3), student.ppf(0.975, 4) * 0.002))
    assert metrics.paired_gain(np.negative(gain), 0.002).verdict == "hurts"
    assert metrics.paired_gain(gain, 0.02).verdict == "cannot tell"  # sure over seeds, not over rows
    assert metrics.paired_gain([0.05, -0.02, 0.003], 0.0001).verdict == "cannot tell"  # the other way round
    for unknown in (([0.5], 0.001), (gain, math.nan), ([0.01, math.nan], 0.001), ([], 0.001)):
        result = metrics.paired_gain(*unknown)
        assert result.ci95 is None
        assert result.verdict == "cannot tell"
        assert result.reason.endswith(".")
        json.dumps(result.to_tree(), allow_nan=False)


@pytest.mark.parametrize(("seeds", "rows"), [(1.0, 0.0), (1.0, 1.0), (0.2, 1.0)])
def test_the_interval_of_a_gain_covers_the_truth(seeds, rows):
    rng, truth = np.random.default_rng(6), 0.3
    covered = alone = 0
    for _ in range(2000):
        gain = truth + rows * rng.normal() + seeds * rng.normal(size=4)  # the luck of the test rows is shared by the replicas
        low, high = metrics.paired_gain(gain, rows).ci95
        covered += low <= truth <= high
        low, high = metrics.interval(gain).ci95
        alone += low <= truth <= high
    assert 0.935 <= covered / 2000 <= 0.985
    if rows:
        assert alone / 2000 < 0.85  # why replicas alone are not enough
