"""Metrics against scikit-learn, naive loops, finite differences, bootstraps and hand-computed values."""

import ast
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from sklearn import metrics as oracle

from manygate import metrics
from manygate.errors import InputError

quick = settings(derandomize=True, deadline=None, max_examples=80)
BINARY = ("auc", "log_loss", "normalised_entropy", "calibration", "ece", "average_precision")


@st.composite
def tables(draw, kind="binary", weights=(0, 0.5, 1, 2, 3)):
    """Label, score on a coarse grid (ties), weight (masks), group."""
    label = st.sampled_from((0, 1)) if kind == "binary" else st.integers(-3, 3)
    row = st.tuples(label, st.integers(0, 8), st.sampled_from(weights), st.integers(0, 3))
    columns = np.array(draw(st.lists(row, min_size=1, max_size=40)), dtype=float).T
    return columns[0], columns[1] / 8, columns[2], columns[3].astype(int)


def sample(rng, rows=300, rate=0.3, gap=1.0):
    label = (rng.random(rows) < rate).astype(int)
    return label, np.round(rng.normal(size=rows) + gap * label, 1)


def naive_auc(label, score, weight):
    pairs = wins = 0.0
    for y, s, w in zip(label, score, weight, strict=True):
        for y2, s2, w2 in zip(label, score, weight, strict=True):
            if y == 1 and y2 == 0:
                pairs += w * w2
                wins += w * w2 * ((s > s2) + (s == s2) / 2)
    return wins / pairs if pairs else math.nan


def same(ours, theirs):
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12, nan_ok=True)


@quick
@given(tables())
def test_binary_metrics_agree_with_sklearn(table):
    label, score, weight, _ = table
    y, p, w = (column[weight > 0] for column in (label, score, weight))
    values, reasons = metrics.task_metrics("binary", label, score, weight)
    assert set(values) == set(BINARY)
    assert set(reasons) == {name for name, value in values.items() if math.isnan(value)}
    if y.size:
        loss = oracle.log_loss(y, p, sample_weight=w, labels=[0, 1])
        same(values["log_loss"], loss)
    if y.any():
        same(values["average_precision"], oracle.average_precision_score(y, p, sample_weight=w))
    if len(set(y)) == 2:
        same(values["auc"], oracle.roc_auc_score(y, p, sample_weight=w))
        rate = np.average(y, weights=w)
        same(values["normalised_entropy"], loss / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)))
    else:
        assert math.isnan(values["auc"])
        assert math.isnan(values["normalised_entropy"])


@quick
@given(tables("regression"))
def test_regression_metrics_agree_with_sklearn(table):
    label, score, weight, _ = table
    y, p, w = (column[weight > 0] for column in (label, score, weight))
    values, reasons = metrics.task_metrics("regression", label, score, weight)
    if y.size == 0:
        assert reasons == dict.fromkeys(("rmse", "mae", "r2"), "no rows in this task's sample space")
        return
    same(values["rmse"], oracle.root_mean_squared_error(y, p, sample_weight=w))
    same(values["mae"], oracle.mean_absolute_error(y, p, sample_weight=w))
    same(values["r2"], oracle.r2_score(y, p, sample_weight=w) if len(set(y)) > 1 else math.nan)


@quick
@given(tables())
def test_gauc_agrees_with_a_loop_over_groups(table):
    label, score, weight, group = table
    total, sum_of_weight, counted = 0.0, 0.0, 0
    for g in set(group[weight > 0]):
        inside = group == g
        value = naive_auc(label[inside], score[inside], weight[inside])
        if not math.isnan(value):
            total, sum_of_weight, counted = (
                total + weight[inside].sum() * value,
                sum_of_weight + weight[inside].sum(),
                counted + 1,
            )
    same(metrics.gauc(label, score, group, weight), total / sum_of_weight if counted else math.nan)
    assert metrics.gauc_groups(label, group, weight) == (counted, len(set(group[weight > 0])))


def test_gauc_keeps_large_group_ids_apart():
    big = 2**60
    group = np.array([big, big, big + 1, big + 1])
    assert metrics.gauc([0, 1, 1, 1], [1, 2, 3, 4], group) == 1.0
    assert metrics.gauc_groups([0, 1, 1, 1], group) == (1, 2)
    assert metrics.gauc([0, 1, 0, 1], [0.1, 0.2, 0.8, 0.9], group, [1, 1, 3, 3]) == 1.0
    assert metrics.gauc([0, 1, 0, 1], [0.1, 0.2, 0.9, 0.8], group, [1, 1, 3, 3]) == 0.25


def naive_bins(label, score, weight, bins):
    """Exact fractions: the block of ties goes where the middle of its mass lies."""
    total, before, inside = sum(map(Fraction, weight)), Fraction(0), {}
    for value in sorted(set(score[weight > 0])):
        rows = [i for i in range(len(score)) if score[i] == value and weight[i] > 0]
        mass = sum(Fraction(weight[i]) for i in rows)
        inside.setdefault(min(bins - 1, int(bins * (before + mass / 2) / total)), []).extend(rows)
        before += mass
    return [inside[b] for b in sorted(inside)]


@quick
@given(tables(), st.sampled_from((1, 2, 5, 15)))
def test_calibration_error_and_curve_agree_with_a_loop(table, bins):
    label, score, weight, _ = table
    curve = metrics.calibration_curve(label, score, weight, bins)
    expected = naive_bins(label, score, weight, bins)
    assert [point["rows"] for point in curve] == [len(rows) for rows in expected]
    for point, rows in zip(curve, expected, strict=True):
        same(point["predicted"], np.average(score[rows], weights=weight[rows]))
        same(point["observed"], np.average(label[rows], weights=weight[rows]))
    json.dumps(curve, allow_nan=False)
    gaps = [abs(np.sum(weight[rows] * (label - score)[rows])) for rows in naive_bins(label, score, weight, 15)]
    same(metrics.ece(label, score, weight), sum(gaps) / weight.sum() if gaps else math.nan)


def test_bins_have_equal_mass_without_ties():
    rng = np.random.default_rng(0)
    curve = metrics.calibration_curve(rng.integers(0, 2, 450), rng.permutation(450) / 450)
    assert [point["rows"] for point in curve] == [30] * 15


def test_values_by_hand():
    assert metrics.auc([0, 1], [0.5, 0.5]) == 0.5  # a tie, not an undefined result
    assert metrics.auc([0, 0, 1], [1, 3, 2], [1, 3, 1]) == 0.25
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-math.log(np.finfo(float).eps))
    assert metrics.calibration([1, 0], [0.5, 0.25], [3, 2]) == 1.5
    assert metrics.ece([0, 1], [0.25, 0.75], [3, 1]) == 0.25
    assert metrics.average_precision([1, 0, 1], [3, 2, 1]) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.rmse([0, 0], [3, 1], [1, 0]) == 3
    assert metrics.mae([0, 0], [3, 1], [1, 3]) == 1.5
    assert metrics.r2([0, 2, 4], [0, 2, 0]) == -1


def bits(value):
    return np.asarray(value, dtype=float).tobytes()


@quick
@given(tables(weights=(0.5, 1, 2.7)), st.integers(0, 9), st.sampled_from(("binary", "regression")))
def test_masked_rows_change_no_bit(table, seed, kind):
    label, score, weight, group = table
    rng = np.random.default_rng(seed)
    kept = rng.permutation(label.size + 7) < label.size
    wide = [np.full(kept.size, fill) for fill in (math.nan, math.nan, 0.0, 1)]
    for column, values in zip(wide, table, strict=True):
        column[kept] = values
    values, reasons = metrics.task_metrics(kind, label, score, weight, group)
    masked_values, masked_reasons = metrics.task_metrics(kind, *wide)
    assert list(values) == list(masked_values)
    assert bits(list(values.values())) == bits(list(masked_values.values()))
    assert reasons == masked_reasons
    assert metrics.calibration_curve(label, score, weight) == metrics.calibration_curve(*wide[:3])
    assert metrics.gauc_groups(label, group, weight) == metrics.gauc_groups(wide[0], wide[3], wide[2])
    plain, masked = metrics.influence(kind, label, score, weight), metrics.influence(kind, *wide[:3])
    assert bits(plain) == bits(masked[kept])
    assert not masked[~kept].any()
    for groups, wide_groups in ((None, None), (group, wide[3])):
        assert bits(metrics.standard_error(plain, groups)) == bits(metrics.standard_error(masked, wide_groups))


def test_no_weight_is_weight_one():
    label, score = sample(np.random.default_rng(1), 50)
    probability = 1 / (1 + np.exp(-score))
    ones = metrics.task_metrics("binary", label, probability, np.ones(50))
    assert metrics.task_metrics("binary", label, probability) == ones


def test_undefined_metrics_say_why():
    values, reasons = metrics.task_metrics("binary", [0] * 120, np.zeros(120), None, np.arange(120))
    assert list(values) == ["auc", "gauc", *BINARY[1:]]
    one_class = "only one class among 120 rows: all labels are 0"
    assert reasons == dict.fromkeys(("auc", "gauc", "normalised_entropy", "average_precision"), one_class) | {
        "calibration": "no positives are expected among 120 rows: all predictions are 0"
    }
    assert metrics.task_metrics("binary", [0, 1], [0.1, 0.2], None, [1, 2])[1] == {"gauc": "no group has both classes"}
    empty = "no rows in this task's sample space"
    for table in (([], [], None, []), ([1, 0], [0.2, 0.3], [0, 0], [1, 1])):
        assert metrics.task_metrics("binary", *table)[1] == dict.fromkeys(values, empty)
        assert metrics.calibration_curve(*table[:3]) == []
    assert metrics.task_metrics("regression", [3.0], [2.0])[1] == {"r2": "no variance to explain among 1 row: all labels are 3"}
    # 0.1 is not exact in binary, so its mean over rows can differ from it by rounding
    assert math.isnan(metrics.r2([0.1] * 3, [0, 1, 2]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_result_from_a_number_that_is_not_finite_is_undefined(bad):
    for label, score, what in (([0, 1, 1], [0.2, bad, 0.3], "prediction"), ([0, bad, 1], [0.2, 0.2, 0.3], "label")):
        for kind in ("binary", "regression"):
            values, reasons = metrics.task_metrics(kind, label, score, None, [1, 1, 1])
            assert all(map(math.isnan, values.values()))
            assert set(reasons.values()) == {f"the {what} is not a finite number in 1 of 3 rows"}
            assert np.isnan(metrics.influence(kind, label, score)).all()
            assert math.isnan(metrics.standard_error(metrics.influence(kind, label, score)))
    assert metrics.calibration_curve([0, 1], [bad, 0.5]) == []


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="0 or 1; found 2"):
        metrics.auc([0, 2], [1, 2])
    with pytest.raises(InputError, match="between 0 and 1"):
        metrics.log_loss([0, 1], [0.5, 1.5])
    with pytest.raises(InputError, match="one length"):
        metrics.auc([0, 1], [1, 2, 3])
    with pytest.raises(InputError, match="1-D"):
        metrics.rmse([[0, 1]], [[0, 1]])
    for weight in (-1, math.nan, math.inf):
        with pytest.raises(InputError, match="weights"):
            metrics.auc([0, 1], [1, 2], [1, weight])


def test_imports_nothing_heavy():
    tree = ast.parse(Path(metrics.task.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    roots = {(getattr(node, "module", None) or node.names[0].name).split(".")[0] for node in imports}
    assert roots == {"__future__", "math", "typing", "numpy", "manygate"}


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
    assert result["mean"] == pytest.approx(7 / 3)
    assert result["sd"] == pytest.approx(math.sqrt(7 / 3))
    assert result["ci95"] == pytest.approx(student.interval(0.95, 2, loc=7 / 3, scale=math.sqrt(7 / 9)))
    assert metrics.interval([0.7]) == {"mean": 0.7, "sd": None, "ci95": None, "values": [0.7]}
    two = metrics.interval([0.5, 0.7])
    assert (two["sd"], two["ci95"]) == (pytest.approx(math.sqrt(0.02)), None)
    assert metrics.interval([0.90, 0.99, 0.999], 0.0, 1.0)["ci95"] == [pytest.approx(0.8270, abs=1e-3), 1.0]
    assert metrics.interval([0.01, 0.02, 0.1], 0.0, 1.0)["ci95"][0] == 0.0
    nothing = {"mean": None, "sd": None, "ci95": None}
    assert metrics.interval([0.7, math.nan]) == nothing | {"values": [0.7, None]}
    assert metrics.interval([]) == nothing | {"values": []}


def test_verdicts():
    gain = [0.01, 0.012, 0.011]
    result = metrics.paired_gain(gain, 0.002)
    half = math.hypot(student.ppf(0.975, 2) * 0.001 / math.sqrt(3), student.ppf(0.975, 9999) * 0.002)
    assert result["gain"] == pytest.approx(0.011)
    assert result["sd_replicas"] == pytest.approx(0.001)
    assert result["ci95"] == pytest.approx([0.011 - half, 0.011 + half])
    assert result["verdict"] == "helps"
    few = metrics.paired_gain(gain, 0.002, clusters=5)["ci95"]
    assert few[1] - 0.011 == pytest.approx(math.hypot(student.ppf(0.975, 2) * 0.001 / math.sqrt(3), student.ppf(0.975, 4) * 0.002))
    assert metrics.paired_gain(np.negative(gain), 0.002)["verdict"] == "hurts"
    assert metrics.paired_gain(gain, 0.02)["verdict"] == "cannot tell"  # sure over seeds, not over rows
    assert metrics.paired_gain([0.05, -0.02, 0.003], 0.0001)["verdict"] == "cannot tell"  # the other way round
    for unknown in (([0.5], 0.001), (gain, math.nan), ([0.01, math.nan], 0.001), ([], 0.001)):
        result = metrics.paired_gain(*unknown)
        assert result["ci95"] is None
        assert result["verdict"] == "cannot tell"
        assert result["reason"].endswith(".")
        json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(("seeds", "rows"), [(1.0, 0.0), (1.0, 1.0), (0.2, 1.0)])
def test_the_interval_of_a_gain_covers_the_truth(seeds, rows):
    rng, truth = np.random.default_rng(6), 0.3
    covered = alone = 0
    for _ in range(2000):
        gain = truth + rows * rng.normal() + seeds * rng.normal(size=4)  # the luck of the test rows is shared by the replicas
        low, high = metrics.paired_gain(gain, rows)["ci95"]
        covered += low <= truth <= high
        low, high = metrics.interval(gain)["ci95"]
        alone += low <= truth <= high
    assert 0.935 <= covered / 2000 <= 0.985
    if rows:
        assert alone / 2000 < 0.85  # why replicas alone are not enough
